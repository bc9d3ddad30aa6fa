"""Numbers of a training that follow from the data: rules and their reasons.

They are a start that works, not an optimum. Each can be set; a choice is
printed with its reason, and stands in the config that is written.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Sides that networks halve without a rest four times or more.
SIDES = (32, 64, 96, 128, 160, 192, 224)
# Learning rate of AdamW for 128 images a step; for others by the square root,
# as its steps are divided by the gradient's size. More harms transformers.
BASE_LR, BASE_BATCH, MOST_LR = 1e-3, 128, 2e-3
# Images that a run looks at, on a GPU and without one: minutes for both.
BUDGET = dict(gpu=400_000, cpu=12_000)
FEWEST_EPOCHS, MOST_EPOCHS = 5, 200
FEWEST_STEPS = 8  # an epoch: fewer, and batch norms and queues see little
WARMUP = 0.05  # of all steps: AdamW's second moments are noise before
# Negatives are drawn from the bank, one row an image. With more than half of
# it every step sees the same ones.
NEGATIVES = 0.5


@dataclass(frozen=True)
class Recipe:
    """What a training is made with.

    Attributes:
        size: side of the images in pixels.
        batch_size: of a step.
        epochs: of the whole run.
        lr: learning rate of AdamW at its highest.
        workers: processes that load images.
        losses: settings of the method's losses that the data changes, by the
            path below ``losses``.
        reasons: a line for each choice.
    """

    size: int
    batch_size: int
    epochs: int
    lr: float
    workers: int
    losses: dict[str, Any]
    reasons: list[str]


def recipe_for(
    images: int,
    side: int,
    losses: Mapping[str, dict],
    fixed_size: int | None = None,
    has_gpu: bool = False,
    **given: Any,
) -> Recipe:
    """Choose the numbers for a training set.

    Args:
        images: in the training set.
        side: the median of their shorter sides.
        losses: the method's, for their queues and negatives.
        fixed_size: the side that the student's network needs, if it takes no
            other.
        has_gpu: whether there is one.
        given: ``size``, ``batch_size``, ``epochs``, ``lr``, ``workers`` that
            the user has set; None for those that are to be chosen.
    Raises:
        ValueError: for a number that is not positive.
    """
    for key, value in given.items():
        least = 0 if key == 'workers' else 1e-12
        if value is not None and value < least:
            raise ValueError(f'{key}={value} is too small')
    reasons = []

    def choose(key: str, value: Any, reason: str) -> Any:
        if given.get(key) is not None:
            value, reason = given[key], 'as given'
        reasons.append(f'{key} {value:g}: {reason}')
        return value

    if fixed_size is None:
        fits = max([s for s in SIDES if s <= 1.15 * side], default=SIDES[0])
        why = f'the median shorter side is {side} pixels'
    else:
        fits, why = fixed_size, 'the network takes no other'
    size = choose('size', fits, why)
    room = max(8, 2 ** int(math.log2(max(1, images / FEWEST_STEPS))))
    most = 256 if has_gpu else 64
    batch = choose(
        'batch_size',
        min(room, most, max(2, images)),
        f'at least {FEWEST_STEPS} steps an epoch of {images} images, at most '
        f'{most} {"on a GPU" if has_gpu else "without a GPU"}',
    )
    budget = BUDGET['gpu' if has_gpu else 'cpu']
    epochs = choose(
        'epochs',
        min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(budget / images))),
        f'about {budget} images in all, as '
        f'{"" if has_gpu else "no "}GPU was found',
    )
    lr = choose(
        'lr',
        float(f'{min(MOST_LR, BASE_LR * math.sqrt(batch / BASE_BATCH)):.2g}'),
        f'{BASE_LR:g} for {BASE_BATCH} images a step, by the root',
    )
    workers = choose(
        'workers',
        min(8, os.cpu_count() or 1),
        'one a processor, at most 8',
    )
    changed = memory_sizes(images, losses, reasons)
    return Recipe(size, batch, epochs, lr, workers, changed, reasons)


def memory_sizes(
    images: int, losses: Mapping[str, dict], reasons: list[str]
) -> dict[str, Any]:
    """Queues and numbers of negatives that the data is too small for.

    Args:
        images: in the training set.
        losses: settings of losses by name.
        reasons: gets a line for each change.
    Returns:
        new values by path: ``{'crd.num_negatives': 256}``.
    """
    changed = {}
    limits = dict(queue_size=images, num_negatives=int(NEGATIVES * images))
    for name, settings in losses.items():
        for key, limit in limits.items():
            if settings.get(key, 0) > limit:
                value = 2 ** int(math.log2(max(2, limit)))
                changed[f'{name}.{key}'] = value
                reasons.append(
                    f'losses.{name}.{key} {value}: {settings[key]} in the '
                    f'paper, of {images} images here'
                )
    return changed
