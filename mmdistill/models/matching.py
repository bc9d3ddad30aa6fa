"""Two implementations of one architecture: which layer is which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

_KINDS = (
    nn.Conv2d,
    nn.Linear,
    nn.modules.batchnorm._BatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
)
# Inputs of layers are compared by it; what is left of layers that agree is
# rounding, about 1e-6.
_SAME_INPUT = 1e-4


class MatchingError(RuntimeError):
    """Two networks that are not of one architecture; where they part."""


@dataclass(frozen=True)
class _Layer:
    """A module that owns tensors, and what it was given."""

    name: str
    module: nn.Module
    given: Tensor


@torch.no_grad()
def match_layers(
    source: nn.Module, network: nn.Module, images: Tensor, what: str
) -> dict[str, str]:
    """Names of the network's tensors, and what the source calls them.

    Layers of the network get the source's weights on the way, just before
    they run, so that the next ones see what their counterparts saw.

    Args:
        source: with the weights, in eval mode.
        network: of the same architecture; its weights are overwritten.
        images: (N, C, H, W) to run both on.
        what: what errors call the network.
    Raises:
        MatchingError: if a layer of the network has no counterpart; it names
            the first.
    """
    layers: list[_Layer] = []
    with _watching(source, lambda *layer: layers.append(_Layer(*layer))):
        source(images)
    names: dict[str, str] = {}
    matched: dict[str, _Layer] = {}
    taken: set[str] = set()

    def load(name: str, module: nn.Module, given: Tensor) -> None:
        if name in matched:
            return  # it runs more than once
        alike = [
            layer
            for layer in layers
            if layer.name not in taken and _kind(layer.module) == _kind(module)
        ]
        for layer in alike:
            if _same(layer.given, given):
                break
        else:
            raise MatchingError(
                _difference(what, name, module, alike, matched)
            )
        matched[name] = layer
        taken.add(layer.name)
        for key, source in _pairs(_own(module), _own(layer.module)).items():
            _own(module)[key].copy_(_own(layer.module)[source])
            names[_join(name, key)] = _join(layer.name, source)

    with _watching(network.eval(), load):
        try:
            network(images)
        except (AssertionError, RuntimeError, ValueError) as error:
            if isinstance(error, MatchingError):
                raise
            raise MatchingError(
                f'{what} does not take images of size '
                f'{tuple(images.shape[1:])} ({error})'
            ) from error
    missing = sorted(network.state_dict().keys() - names.keys())
    if missing:
        raise MatchingError(
            f'{what} has tensors that it did not use on images of size '
            f'{tuple(images.shape[1:])}: {missing[:8]}'
        )
    return names


@contextmanager
def _watching(
    network: nn.Module, call: Callable[[str, nn.Module, Tensor], None]
) -> Iterator[None]:
    """Call a function before each layer, with its name and its input."""

    def hook(name: str, module: nn.Module, args: tuple, kwargs: dict) -> None:
        for given in (*args, *kwargs.values()):
            if isinstance(given, Tensor):
                # a copy: activations may change their input in place
                call(name, module, given.clone())
                return

    handles = [
        module.register_forward_pre_hook(partial(hook, name), with_kwargs=True)
        for name, module in network.named_modules()
        if _own(module)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _own(module: nn.Module) -> dict[str, Tensor]:
    """Tensors of a module's state that belong to none of its children."""
    tensors = {**module._parameters, **module._buffers}
    for key in module._non_persistent_buffers_set:
        del tensors[key]
    return {k: v for k, v in tensors.items() if v is not None}


def _kind(module: nn.Module) -> tuple:
    """What two layers must have in common to be the same."""
    base = next((kind for kind in _KINDS if isinstance(module, kind)), None)
    steps = ()
    if isinstance(module, nn.Conv2d):
        steps = (module.stride, module.dilation, module.groups)
    return base, steps, sorted(tuple(x.shape) for x in _own(module).values())


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two inputs hold the same; (N, L, C) may be (N, H, W, C)."""
    if a.numel() != b.numel() or a.shape[0] != b.shape[0]:
        return False
    difference = (a.flatten() - b.flatten()).abs().max()
    return bool(difference <= _SAME_INPUT * a.abs().max())


def _pairs(to: dict[str, Tensor], given: dict[str, Tensor]) -> dict[str, str]:
    """Keys of a layer, and those of the same layer elsewhere.

    The same names if the shapes are the same, and for what is left the same
    shapes, such as a layer scale's ``gamma`` and ``weight``.
    """
    pairs = {
        key: key
        for key, value in to.items()
        if key in given and given[key].shape == value.shape
    }
    for key in to.keys() - pairs.keys():
        fitting = [
            other
            for other in given.keys() - pairs.keys()
            if given[other].shape == to[key].shape
        ]
        if len(fitting) != 1:
            raise MatchingError(
                f'of the tensors {sorted(given)} of a layer several may be '
                f'{key!r} of shape {tuple(to[key].shape)}'
            )
        pairs[key] = fitting[0]
    return pairs


def _difference(
    what: str,
    name: str,
    module: nn.Module,
    alike: list[_Layer],
    matched: dict[str, _Layer],
) -> str:
    """Where two architectures part."""
    shapes = [tuple(value.shape) for value in _own(module).values()]
    why = f'no {type(module).__name__} of shapes {shapes} is left in it'
    if alike:
        why = (
            'none of its layers of this kind and shape is given the same; '
            'the paddings, epsilons or activations before it differ'
        )
    text = f'{what} is another network. {name or "It"}: {why}'
    if matched:
        last, layer = list(matched.items())[-1]
        text += (
            f'. The last layer that agrees is {last}, elsewhere '
            f'{layer.name.removeprefix("model.")}: {layer.module}'
        )
    return text


def _join(name: str, key: str) -> str:
    return f'{name}.{key}' if name else key
