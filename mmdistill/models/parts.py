"""Parts that a network may have or not, whatever its class calls them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger
from torch import nn

from mmdistill.checkpoints import loading_policy


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


@contextmanager
def quiet_weights() -> Iterator[None]:
    """Initialize by our policy, without a log line for every tensor."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with loading_policy():
            yield
    finally:
        logger.setLevel(level)


def has_file(model: nn.Module) -> bool:
    """Whether a network's weights come from a file when training starts."""
    published = getattr(model, 'backbone', None)
    return getattr(model, 'init_cfg', None) is not None or bool(
        getattr(published, 'pretrained', False)
    )


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
