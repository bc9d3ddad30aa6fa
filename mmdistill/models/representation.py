from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn

from mmdistill.models.backbone_maps import (
    is_map,
    map_of,
    output_of,
    run_backbone,
)
from mmdistill.models.network_maps import (
    MapLayer,
    find_map_layers,
    read_maps,
)
from mmdistill.models.probing import attributes, dry_run, last_calls
from mmdistill.models.zoo import NetworkBackbone
from mmdistill.ops import l2_normalize

# More outputs than any backbone has; a membership test costs nothing.
_EVERY_INDEX = range(1 << 16)


@dataclass(frozen=True)
class Representation:
    """What one forward pass of a model says about a batch.

    Attributes:
        maps: backbone outputs, each (N, C_i, H_i, W_i), those that were asked
            for in ascending order of their numbers (stem 0, stage 1, ...).
            Of token backbones: patch tokens as (N, D, h, w).
        feature: (N, D), what the head's last linear layer sees.
        embedding: (N, E) after a projection head, or None.
        logits: (N, K) class or prototype scores, or None.
    """

    maps: tuple[Tensor, ...] = ()
    feature: Tensor | None = None
    embedding: Tensor | None = None
    logits: Tensor | None = None

    def split(self, size: int) -> list[Representation]:
        """The representations of a joined batch's parts of ``size`` rows."""
        rows = {
            name: value.split(size)
            for name in ('feature', 'embedding', 'logits')
            if (value := getattr(self, name)) is not None
        }
        maps = [m.split(size) for m in self.maps]
        parts = len(next(iter(rows.values())))
        return [
            Representation(
                maps=tuple(m[i] for m in maps),
                **{name: value[i] for name, value in rows.items()},
            )
            for i in range(parts)
        ]


class RepresentationReader:
    """Reads the `Representation` of a classifier or an encoder in one pass.

    The model is not changed: which backbone outputs are kept, and what the
    last linear layer sees, is arranged for the duration of a call.

    The feature is the input of the head's last linear layer. A head without
    one (``ClsHead``) may hand on scores that the backbone gives (InceptionV3,
    LeNet5): then it is the input of the linear layer that gave them, and
    there is none if no linear layer did. The maps of a backbone that returns
    none are found by running it (`find_map_layers`).

    Args:
        model: an ``ImageClassifier`` of a CNN or a token backbone, or a model
            of backbone and neck with a method ``project`` from the feature to
            embedding and logits, such as `SelfSupervisedEncoder`; or one of
            MMPretrain's self-supervised algorithms, whose neck projects and
            whose head is a loss: its feature is the pooled last map.
        name: what error messages call the model, a config key.
    Attributes:
        numbers: the maps that a call returns, ascending.
        pre_activation: give maps from before their activation, of backbones
            that can. The feature and the logits then mean nothing.
        prototypes: score an encoder's embedding in place of its own, if not
            None.
        classes: numbers of the classes whose logits are given, in this order;
            all when None.
    """

    def __init__(self, model: nn.Module, name: str = 'model') -> None:
        self.model = model
        self.name = name
        self.numbers: tuple[int, ...] = ()
        self.pre_activation = False
        self.prototypes: nn.Module | None = None
        self.classes: Sequence[int] | None = None
        self._chosen: tuple[Sequence[int], Tensor] | None = None
        # A backbone that can give its stem says that index 0 is the stem.
        self._first = getattr(model.backbone, 'first_map', 1)
        head = getattr(model, 'head', None)
        linears = _linears(head)
        self._classifier = linears[-1] if linears else None
        # Where the head has none, any of the model's may give the scores.
        self._watched: list[nn.Module] | None = linears[-1:] or _linears(model)
        if (
            head is None
            or self.projects
            or isinstance(model, BaseSelfSupervisor)
        ):
            self._watched = None
        # Of a backbone that returns no maps: where they come from.
        self._layers: dict[int, MapLayer] = {}

    def __call__(
        self, inputs: Tensor, projected: bool = True
    ) -> Representation:
        """Run the model: (N, C, H, W) to a `Representation`.

        Args:
            inputs: images.
            projected: run an encoder's head and prototypes, too; without,
                `project` may follow.
        """
        layers = [self._layers[n] for n in self.numbers if self._layers]
        modules = [self.model.backbone.get_submodule(x.name) for x in layers]
        with last_calls(modules) as calls, self.feature_seen() as seen:
            outputs, maps = self._outputs(inputs)
            feature, embedding, logits = self._head(outputs, projected, seen)
        if layers:
            maps = tuple(
                layer.read(calls[module][1], inputs.shape)
                for layer, module in zip(layers, modules, strict=True)
            )
        return Representation(maps, feature, embedding, logits)

    def _outputs(self, inputs: Tensor) -> tuple[tuple, tuple[Tensor, ...]]:
        """The backbone's own outputs, and the maps that are asked for."""
        own = self._own_indices()
        wanted = [n - self._first for n in self.numbers if not self._layers]
        if own is None:
            outputs = dict(enumerate(self._backbone(inputs, bool(wanted))))
            own = sorted(outputs)
        else:
            own = sorted(own)
            indices = sorted({*own, *wanted})
            with attributes(self.model.backbone, out_indices=indices):
                outputs = self._backbone(inputs, bool(wanted))
            outputs = dict(zip(indices, outputs, strict=True))
        return (
            tuple(output_of(outputs[index]) for index in own),
            tuple(map_of(outputs[index]) for index in wanted),
        )

    @property
    def projects(self) -> bool:
        """Whether the model is an encoder, whose `project` can be called."""
        return hasattr(self.model, 'project')

    def project(
        self, feature: Tensor, **kwargs: Any
    ) -> tuple[Tensor | None, Tensor | None]:
        """An encoder's embedding (N, E) and scores (N, K) of features (N, D).

        Args:
            feature: pooled.
            kwargs: of the head, such as ``dropout=False``.
        """
        embedding, logits = self.model.project(feature, **kwargs)
        if self.prototypes is not None:
            scored = feature if embedding is None else embedding
            logits = self.prototypes(l2_normalize(scored))
        return embedding, logits

    def dry_run(
        self, input_size: Sequence[int], with_maps: bool
    ) -> tuple[Representation, dict[int, tuple]]:
        """Shapes, from one image of zeros; nothing changes, nothing is drawn.

        Args:
            input_size: (C, H, W).
            with_maps: also find out which maps the backbone can give.
        Returns:
            a Representation of one image, and the shapes of all maps by
            number.
        Raises:
            ValueError: if the model does not take images of this size.
        """

        def look(image: Tensor) -> tuple[Representation, dict[int, tuple]]:
            shapes = self._map_shapes(image) if with_maps else {}
            return self(image), shapes

        return dry_run(
            look,
            self.model,
            input_size,
            self.name,
            'set model.input_size to (channels, height, width) of the '
            'training images',
        )

    def _map_shapes(self, image: Tensor) -> dict[int, tuple]:
        outputs = self._all_outputs(image)
        if not any(map(is_map, outputs.values())):
            return self._found_shapes(image) or {
                index + self._first: tuple(map_of(output).shape)
                for index, output in outputs.items()
            }
        return {
            index + self._first: tuple(map_of(output).shape)
            for index, output in outputs.items()
            if is_map(output)  # scores may come behind the maps
        }

    def _all_outputs(self, image: Tensor) -> dict[int, Any]:
        """What the backbone gives by index, all of it if it can be asked."""
        own = self._own_indices()
        try:
            with attributes(self.model.backbone, out_indices=_EVERY_INDEX):
                return dict(enumerate(self._backbone(image, True)))
        except Exception:
            # Some hold a layer for each configured output only, or look at
            # out_indices in another way.
            outputs = self._backbone(image, True)
            indices = range(len(outputs)) if own is None else own
            return dict(zip(indices, outputs, strict=True))

    def _found_shapes(self, image: Tensor) -> dict[int, tuple]:
        """Shapes of the maps of layers, which are found by running."""
        backbone = self.model.backbone
        images = image.repeat(2, 1, 1, 1)
        if isinstance(backbone, NetworkBackbone):
            network, prefix = backbone.network, 'network.'
            layers = backbone.map_layers(image)
        else:
            network, prefix = backbone, ''
            layers = find_map_layers(network, images)
        if not layers:
            return {}
        _, maps = read_maps(network, layers, images)
        numbers = range(self._first, self._first + len(layers))
        self._layers = {
            number: replace(layer, name=f'{prefix}{layer.name}')
            for number, layer in zip(numbers, layers, strict=True)
        }
        return {
            number: (1, *found.shape[1:])
            for number, found in zip(numbers, maps, strict=True)
        }

    def _own_indices(self) -> list[int] | None:
        """What the config asked the backbone for; its head relies on it."""
        indices = getattr(self.model.backbone, 'out_indices', None)
        return None if indices is None else list(indices)

    def _backbone(self, inputs: Tensor, with_tokens: bool) -> tuple:
        return run_backbone(
            self.model.backbone, inputs, with_tokens, self.pre_activation
        )

    def _head(
        self, outputs: tuple, projected: bool, seen: list[Tensor | None]
    ) -> tuple[Tensor | None, ...]:
        """Feature, embedding and logits of the backbone's own outputs."""
        model = self.model
        if isinstance(model, BaseSelfSupervisor):
            last = outputs[-1]
            if last.ndim == 4:
                last = last.mean(dim=(2, 3))
            return last if last.ndim == 2 else None, None, None
        if getattr(model, 'neck', None) is not None:
            outputs = model.neck(outputs)
        feature = outputs[-1] if isinstance(outputs, tuple) else outputs
        if self.projects:
            if not projected:
                return feature, None, None
            return feature, *self.project(feature)
        head = getattr(model, 'head', None)
        if head is None:
            return feature if feature.ndim == 2 else None, None, None
        logits = head(outputs)
        if isinstance(logits, tuple):  # of two classifiers (Conformer)
            logits = sum(logits)
        if self.classes is not None:
            logits = logits[:, self._columns(logits.device)]
        return seen[-1], None, logits

    def _columns(self, device: torch.device) -> Tensor:
        """The chosen classes, copied to a device once."""
        held = self._chosen
        if (
            held is None
            or held[0] is not self.classes
            or (held[1].device != device)
        ):
            held = self.classes, torch.tensor(self.classes, device=device)
            self._chosen = held
        return held[1]

    @contextmanager
    def feature_seen(self) -> Iterator[list[Tensor | None]]:
        """While it lasts, what the last linear layer of a classifier is given.

        One entry for every call of its head, None if no linear layer gave
        the scores.
        """
        seen: list[Tensor | None] = []

        def note(head: nn.Module, args: tuple, logits: Tensor) -> None:
            if self._classifier is not None:
                seen.append(calls[self._classifier][0])
                return
            feature = head.pre_logits(args[0])
            if feature is logits:  # it hands on what the backbone scored
                given = [x for x, scores in calls.values() if scores is logits]
                feature = given[-1] if given else None
            seen.append(feature)

        if self._watched is None:
            yield seen
            return
        with last_calls(self._watched) as calls:
            handle = self.model.head.register_forward_hook(note)
            try:
                yield seen
            finally:
                handle.remove()


def classes_key(model: nn.Module, name: str) -> str:
    """The config key that says how many classes a classifier has.

    Args:
        model: the classifier.
        name: its config key.
    """
    if isinstance(getattr(model, 'backbone', None), NetworkBackbone):
        return f'{name}.num_classes'
    head = getattr(model, 'head', None)
    inside = head is not None and not _linears(head)
    return f'{name}.{"backbone" if inside else "head"}.num_classes'


def _linears(module: nn.Module | None) -> list[nn.Linear]:
    modules = () if module is None else module.modules()
    return [m for m in modules if isinstance(m, nn.Linear)]
