"""Maps of any network: which of its layers give them, and in what form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.probing import last_calls

#: A trunk, unlike a block, works at this many resolutions or more.
_TRUNK = 3
#: A token network has at least so many blocks of one kind in a row.
_BLOCKS = 2
#: What gives attention, which has the shape of a map and is none.
_NO_MAPS = (nn.Softmax, nn.Dropout)
#: Class, distillation and register tokens before those of patches, at most.
_MOST_EXTRA = 16


@dataclass(frozen=True)
class MapLayer:
    """A layer whose output is a map, and how to read it.

    Attributes:
        name: of the layer in its network.
        form: 'NCHW', 'NHWC', or 'tokens' for (N, T, D).
        extra: tokens that come before those of the patches.
    """

    name: str
    form: str
    extra: int = 0

    def read(self, output: Any, images: Sequence[int]) -> Tensor:
        """The output as (N, C, H, W).

        Args:
            output: of the layer.
            images: shape of the network's input, (N, C, H, W).
        """
        output = first_tensor(output)
        if self.form == 'NCHW':
            return output
        if self.form == 'NHWC':
            return output.permute(0, 3, 1, 2)
        patches = output[:, self.extra :]
        size = _grid(patches.shape[1], images)
        return patches.transpose(1, 2).unflatten(2, size)


def first_tensor(output: Any) -> Tensor | None:
    """The tensor of an output, or the first one of several."""
    if isinstance(output, Tensor):
        return output
    hidden = getattr(output, 'last_hidden_state', None)
    if hidden is not None:
        return hidden
    values = output.values() if isinstance(output, dict) else output
    if isinstance(output, (dict, list, tuple)):
        return next((v for v in values if isinstance(v, Tensor)), None)
    return None


@torch.no_grad()
def find_map_layers(network: nn.Module, images: Tensor) -> list[MapLayer]:
    """The layers that give the maps of a network, in the order they run.

    Of a network that works at several resolutions, the last layer of each.
    Of one whose blocks all work at one, such as ViT, every block.

    A network is looked into as long as its parts work at three resolutions
    or more; what works at two is a stage, or a block that downsamples.

    Args:
        network: in eval mode.
        images: (N, C, H, W) that it takes; two of them at least, so that what
            does not depend on images is told from what does.
    """
    ran, levels = _maps_that_run(network, images)
    order = list(ran)
    trunk = [name for name in _trunk(network, '', levels) if name in ran]
    trunk.sort(key=order.index)
    last = {levels[name]: name for name in trunk}
    chosen = sorted(last.values(), key=order.index)
    if len(chosen) < _TRUNK:
        chosen = max(chosen, _blocks(network, ran, levels), key=len)
    return [ran[name] for name in chosen]


def named_map_layers(
    network: nn.Module, images: Tensor, names: Sequence[str]
) -> list[MapLayer]:
    """The layers of some names, which must give maps.

    Args:
        network, images: as of `find_map_layers`.
        names: as ``named_modules`` has them.
    Raises:
        ValueError: if a layer is not there, or gives no map.
    """
    ran, _ = _maps_that_run(network, images)
    wrong = [name for name in names if name not in ran]
    if wrong:
        raise ValueError(
            f'{wrong} are no layers of {type(network).__name__} that give a '
            'map (N, C, H, W) or tokens; set maps to some of '
            f'{list(ran)[:40]}'
        )
    return [ran[name] for name in names]


def pooled_map(output: Tensor, images: Sequence[int]) -> Tensor | None:
    """The mean (N, D) of a map or of patch tokens; None if it is neither.

    Args:
        output: (N, C, H, W), (N, H, W, C) or (N, T, D); tokens that are more
            than the patches of an image, such as a class token, make it none.
        images: shape of the network's input.
    """
    form = _form(output, images, set())
    if output.ndim == 4 and form is None:  # of other proportions
        form = 'NCHW', 0
    if form is None:
        return None
    return MapLayer('', *form).read(output, images).mean(dim=(2, 3))


def level_of(size: int, image: int) -> int:
    """Log2 of a map's stride; borders without padding count for nothing."""
    return round(math.log2(image / size))


def read_maps(
    network: nn.Module, layers: Sequence[MapLayer], images: Tensor
) -> tuple[Any, tuple[Tensor, ...]]:
    """A network's output, and the maps of some layers, of one pass."""
    modules = [network.get_submodule(layer.name) for layer in layers]
    with last_calls(modules) as calls:
        output = network(images)
    return output, tuple(
        layer.read(calls[module][1], images.shape)
        for layer, module in zip(layers, modules, strict=True)
    )


def _maps_that_run(
    network: nn.Module, images: Tensor
) -> tuple[dict[str, MapLayer], dict[str, int]]:
    """Every layer that gives a map, as they end, and its `level_of`."""
    ran: dict[str, MapLayer] = {}
    levels: dict[str, int] = {}
    grids: set[int] = set()

    def note(name: str, module: nn.Module, args: tuple, output: Any) -> None:
        output = first_tensor(output)
        form = _form(output, images.shape, grids)
        ran.pop(name, None)  # the last call counts, and says the order
        if form is None:
            return
        layer = MapLayer(name, *form)
        height, width = layer.read(output, images.shape).shape[-2:]
        if layer.form != 'tokens':
            grids.add(height * width)
        if width > 1:
            ran[name] = layer
            levels[name] = level_of(width, images.shape[-1])

    handles = [
        module.register_forward_hook(partial(note, name))
        for name, module in network.named_modules()
        if name and not isinstance(module, _NO_MAPS)
    ]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return ran, levels


def _trunk(
    module: nn.Module, name: str, levels: dict[str, int]
) -> Iterator[str]:
    """Names of the stages and blocks that a network consists of."""
    below = {lv for n, lv in levels.items() if n.startswith(f'{name}.')}
    if name and len(below) < _TRUNK:
        yield name
        return
    for child_name, child in module.named_children():
        yield from _trunk(child, _join(name, child_name), levels)


def _blocks(
    network: nn.Module, ran: dict[str, MapLayer], levels: dict[str, int]
) -> list[str]:
    """The blocks of the largest series of equal ones."""
    best: list[str] = []
    largest = 0
    for name, module in network.named_modules():
        series: dict[tuple, list[str]] = {}
        for child_name, child in module.named_children():
            full = _join(name, child_name)
            if full in ran:
                size = sum(p.numel() for p in child.parameters())
                kind = type(child), size, ran[full].form, levels[full]
                series.setdefault(kind, []).append(full)
        for (_, size, *_), names in series.items():
            if len(names) >= _BLOCKS and size * len(names) > largest:
                best, largest = names, size * len(names)
    return best


def _form(
    output: Tensor | None, images: Sequence[int], grids: set[int]
) -> tuple[str, int] | None:
    """How a layer's output is read as a map, if it is one."""
    if output is None or not output.is_floating_point():
        return None
    if output.shape[0] != images[0]:
        return None
    if output.ndim == 4:
        _, a, b, c = output.shape
        first, last = _alike(a, b, images), _alike(b, c, images)
        if last:  # also where all three are alike: as torch has it
            return 'NCHW', 0
        return ('NHWC', 0) if first else None
    if output.ndim != 3:
        return None
    count = output.shape[1]
    for extra in range(min(_MOST_EXTRA, count - 1) + 1):
        if count - extra in grids and _is_grid(count - extra, images):
            return 'tokens', extra
    return ('tokens', 0) if _is_grid(count, images) else None


def _alike(height: int, width: int, images: Sequence[int]) -> bool:
    """Whether two numbers are to each other as the sides of the images."""
    expected = width * images[2] / images[3]
    return abs(height - expected) < 1 and height <= images[2]


def _is_grid(count: int, images: Sequence[int]) -> bool:
    height, width = _grid(count, images)
    return height * width == count and count > 1


def _grid(count: int, images: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of ``count`` patches of an image."""
    height = max(1, round(math.sqrt(count * images[2] / images[3])))
    return height, count // height


def _join(name: str, child: str) -> str:
    return f'{name}.{child}' if name else child
