"""Looking at a network at work, for a while: modes, hooks, and the dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

Found = TypeVar('Found')

#: Height and width of the dry run's image where nobody says how large images
#: are: strides of up to 128 can be told apart.
DRY_RUN_SIZE = 128
# How networks refuse an image that they were not made for.
_REFUSALS = (AssertionError, AttributeError, IndexError, RuntimeError)


def dry_run(
    run: Callable[[Tensor], Found],
    module: nn.Module,
    size: Sequence[int],
    name: str,
    advice: str,
) -> Found:
    """What a network says about one image of zeros, before it is trained.

    Args:
        run: takes the image, (1, C, H, W) on the module's device.
        module: is put into eval mode meanwhile; nothing of it changes.
        size: (C, H, W).
        name: what the error calls the network.
        advice: what to change, the end of the error.
    Raises:
        ValueError: if the network does not take such an image.
    """
    image = next(module.parameters()).new_zeros(1, *size)
    try:
        with probing(module):
            return run(image)
    except _REFUSALS as error:
        raise ValueError(
            f'the dry run of {name} on one image of size {tuple(size)} '
            f'failed: {error}; {advice}'
        ) from error


@contextmanager
def probing(module: nn.Module) -> Iterator[None]:
    """Run a module without a trace: in eval mode, no gradients, no draws."""
    with (
        evaluating(module),
        torch.no_grad(),
        torch.random.fork_rng(devices=[]),
    ):
        yield


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module and all its children into eval mode for a while."""
    modes = [(m, m.training) for m in module.modules()]
    # Some networks prepare for eval mode in a method of their own (LeViT).
    prepared = [m for m, mode in modes if mode and _has_own_modes(m)]
    for m in prepared:
        m.train(False)
    for m, _ in modes:
        m.training = False
    try:
        yield
    finally:
        for m in prepared:
            m.train(True)
        for m, mode in modes:
            m.training = mode


def _has_own_modes(module: nn.Module) -> bool:
    """Whether a network's block does more than to set its mode."""
    return type(module).train is not nn.Module.train and not isinstance(
        module, BaseModel
    )


@contextmanager
def last_calls(
    modules: Sequence[nn.Module],
) -> Iterator[dict[nn.Module, tuple[Tensor, Any]]]:
    """What each module takes first and gives, at its last call in a while."""
    calls: dict[nn.Module, tuple[Tensor, Any]] = {}

    def note(module: nn.Module, args: tuple, output: Any) -> None:
        calls[module] = args[0], output

    handles = [module.register_forward_hook(note) for module in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def attributes(module: nn.Module, **values: Any) -> Iterator[None]:
    """Set plain attributes of a module for a while."""
    before = dict(module.__dict__)
    module.__dict__.update(values)
    try:
        yield
    finally:
        for name in values:
            if name in before:
                module.__dict__[name] = before[name]
            else:
                del module.__dict__[name]
