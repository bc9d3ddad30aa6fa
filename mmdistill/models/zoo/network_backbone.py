"""A network of any library as a backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmdistill.checkpoints import load_strictly
from mmdistill.models.last_linear import (
    ClassifierError,
    joined_state,
    pooled,
    take_off_classifier,
)
from mmdistill.models.network_maps import (
    MapLayer,
    find_map_layers,
    named_map_layers,
    read_maps,
)
from mmdistill.models.probing import probing
from mmdistill.models.zoo.library import ModelNameError, NetworkLibrary
from mmdistill.models.zoo.names import find_library
from mmdistill.registry import MODELS

_DEFAULT_SIZE = (224, 224)
_OURS = ('backbone.network.', 'network.')


@MODELS.register_module()
class NetworkBackbone(BaseModule):
    """Any network as a backbone: its pooled feature, or its maps.

    Its classifier is taken off and kept in `taken`, for the head of a
    `NetworkClassifier`. Which layers give maps is found by running; see
    `find_map_layers`.

    Args:
        network: 'library/name' of timm, torchvision or Hugging Face; the
            config of a registered module; or a built network. It takes images
            (N, C, H, W) and returns scores, a feature, tokens or a map.
        num_classes: of the classifier that the library builds; 0 for none,
            None for the library's number.
        pretrained: load the library's published weights when training starts.
        in_channels: of the images.
        input_size: (C, H, W) or (H, W) of the images, if not the library's.
        options: of the library's own builder.
        classifier: names of the layers that give the scores, for a network in
            which they are not found.
        maps: names of the layers that give maps, in order; found when None.
        out_indices: return these maps, from 0, in place of the feature: for
            detectors and segmentors.
        init_cfg: MMEngine's initialization config.
    Raises:
        ModelNameError: for a name that no library has, or options that the
            network does not take.
    Config:
        backbone=dict(type='NetworkBackbone', network='timm/resnet18',
                      out_indices=(1, 2, 3, 4))
    """

    def __init__(
        self,
        network: str | dict | nn.Module,
        num_classes: int | None = 0,
        pretrained: bool = False,
        in_channels: int = 3,
        input_size: Sequence[int] | None = None,
        options: Mapping[str, Any] | None = None,
        classifier: Sequence[str] | None = None,
        maps: Sequence[str] | None = None,
        out_indices: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.library: NetworkLibrary | None = None
        self.name = type(network).__name__
        size = None if input_size is None else tuple(input_size[-2:])
        #: Of the classifiers that were taken off, the share of the scores.
        self.shares: dict[str, float] = {}
        #: Whether the library's published weights are to be loaded.
        self.pretrained = pretrained
        self._how: dict[str, Any] = {}
        if isinstance(network, str):
            library, self.name = find_library(network)
            if not isinstance(library, NetworkLibrary):
                raise ModelNameError(
                    f'{network!r} is a whole model of its own; write '
                    f"type='{network}' in place of network='{network}'"
                )
            self.library = library
            self._how = dict(
                num_classes=num_classes,
                in_channels=in_channels,
                size=size,
                **(options or {}),
            )
            network = _built(library, self.name, self._how)
            size = size or library.info(self.name).size
        elif isinstance(network, dict):
            network = MODELS.build(network)
        if pretrained and self.library is None:
            raise ModelNameError(
                'pretrained=True takes the published weights of a library; '
                f'{self.name} is none of a library. Give its file in init_cfg'
            )
        #: (C, H, W) of the images that the network was looked at with.
        self.input_size = in_channels, *(size or _DEFAULT_SIZE)
        images = self._images()
        try:
            taken = take_off_classifier(network, images, classifier)
        except (ClassifierError, RuntimeError) as error:
            raise ModelNameError(
                f'{self.name} cannot be used with images of size '
                f'{self.input_size}: {error}; change input_size, or name the '
                'layers that give its scores in classifier'
            ) from error
        # Its library has initialized it; MMEngine would again, where it has
        # a method of that name.
        network.is_init = True
        self.network = network
        #: The classifier; a plain attribute, which the head registers.
        self.__dict__['taken'] = None
        if taken is not None:
            self.__dict__['taken'], self.shares = taken
        with probing(network):
            #: (N, D), or scores where no linear layer gives them.
            self.width = pooled(network(images), images.shape).shape[1]
        self._maps = None if maps is None else tuple(maps)
        self.out_indices = None if out_indices is None else tuple(out_indices)
        self._layers: list[MapLayer] | None = None
        if self.out_indices is not None:
            known = len(self.map_layers(images))
            if not all(-known <= i < known for i in self.out_indices):
                raise ModelNameError(
                    f'out_indices={self.out_indices} asks for maps that '
                    f'{self.name} does not have; it has {known}, from 0'
                )

    @property
    def full_name(self) -> str:
        """'library/name', or the class of a network of one's own."""
        if self.library is None:
            return self.name
        return f'{self.library.name}/{self.name}'

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) to ((N, D),), or to the maps of ``out_indices``."""
        if self.out_indices is None:
            return (pooled(self.network(images), images.shape),)
        layers = self.map_layers(images)
        chosen = [layers[i] for i in self.out_indices]
        return read_maps(self.network, chosen, images)[1]

    def map_layers(self, images: Tensor) -> list[MapLayer]:
        """The layers that give maps; found at the first call.

        Args:
            images: (N, C, H, W), to run the network on.
        """
        if self._layers is None:
            with probing(self.network):
                images = images[:1].repeat(2, 1, 1, 1)
                self._layers = (
                    find_map_layers(self.network, images)
                    if self._maps is None
                    else named_map_layers(self.network, images, self._maps)
                )
        return self._layers

    def _images(self) -> Tensor:
        """One random image, always the same, to see what the network does."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(1, *self.input_size, generator=generator)

    def init_weights(self) -> None:
        """Load the library's published weights, if asked to.

        Those of the classifier are kept in `published_head`, for the head.

        Raises:
            WeightsError: if they could not be had.
        """
        is_first = not self._is_init
        super().init_weights()
        if not (is_first and self.pretrained):
            return
        state = self.from_library(
            self.library.published(self.name, **self._how)
        )
        prefix, head = 'backbone.network.', 'head.fc.'
        load_strictly(
            self.network,
            {
                key.removeprefix(prefix): value
                for key, value in state.items()
                if key.startswith(prefix)
            },
            f'the published weights of {self.full_name}',
            'Choose other options, or pretrained=False.',
            whole=True,
        )
        self.__dict__['published_head'] = {
            key.removeprefix(head): value
            for key, value in state.items()
            if key.startswith(head)
        }

    def from_library(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights by their library's names, by those of a `NetworkClassifier`.

        Args:
            state: as the library's network has it, with its classifier.
                One that has our names already stays as it is.
        """
        ours = {f'{p}{k}' for p in _OURS for k in self.network.state_dict()}
        if not ours.isdisjoint(state):
            return dict(state)
        state = dict(state)
        if self.library is not None:
            state = self.library.translate(state, self.network)
        head = joined_state(state, self.shares)
        return {
            **{f'backbone.network.{k}': v for k, v in state.items()},
            **{f'head.fc.{k}': v for k, v in head.items()},
        }


def _built(
    library: NetworkLibrary, name: str, how: dict[str, Any]
) -> nn.Module:
    try:
        return library.build(name, **how)
    except ModelNameError:
        raise
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        given = {key: value for key, value in how.items() if value is not None}
        raise ModelNameError(
            f'{library.name} cannot build {name} with {given}: {error}'
        ) from error
