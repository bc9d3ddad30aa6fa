"""Parts that a network may have or not, whatever its class calls them."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn


def head_of(model: nn.Module) -> nn.Module | None:
    """A classifier's head or an encoder's projection head, if it has one."""
    return getattr(model, 'head', None)


def prototypes_of(model: nn.Module) -> nn.Module | None:
    """The prototypes of an encoder; None without, and of other networks."""
    return getattr(model, 'prototypes', None)


def is_encoder(model: nn.Module) -> bool:
    """Whether a network is an encoder, with prototypes or built without."""
    return hasattr(model, 'prototypes')


def dropout_of_head(model: nn.Module) -> tuple[float, ...]:
    """Rates of the dropout inside an encoder's head; () without."""
    rates = getattr(head_of(model), 'dropout', ())
    return tuple(rate for rate in rates or () if rate)


def gives_pre_activation(backbone: nn.Module) -> bool:
    """Whether a backbone can give its maps from before their activation."""
    return hasattr(backbone, 'pre_activation')


def stages_among(backbone: nn.Module, numbers: Iterable[int]) -> list[int]:
    """Numbers of the maps that stages make, ascending.

    The pooled map that some CIFAR networks number last feeds the classifier
    alone and belongs to no stage.
    """
    numbers = sorted(numbers)
    return (
        numbers[:-1]
        if getattr(backbone, 'has_pooled_map', False)
        else (numbers)
    )
