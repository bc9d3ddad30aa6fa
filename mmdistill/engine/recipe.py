"""The numbers of a run on one's own images, and why they are what they are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

# Images that a run sees, at least: a small network learns little from fewer,
# and a CPU is done with more only tomorrow.
_SEEN = dict(cpu=20_000, cuda=200_000)
_EPOCHS = 20, 100
# Batches of an epoch that are worth an epoch's end.
_BATCHES = 8
_LARGEST_BATCH = dict(cpu=64, cuda=256)
# For a batch of 64. SGD's is that of the CIFAR benchmarks; transformers do
# not train with it, and take DeiT's: 5e-4 for a batch of 512.
_SGD, _ADAMW = 0.05, 5e-4 / 8
_STRIDE = 32  # of the last map of most networks


@dataclass
class Recipe:
    """Numbers of a run.

    Attributes:
        size: height and width of the images.
        batch_size, epochs, lr, workers: of training.
        optimizer: 'SGD' or 'AdamW'.
        why: a sentence for each, by its name.
    """

    size: int
    batch_size: int
    epochs: int
    lr: float
    workers: int
    optimizer: str
    why: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """One line for each number."""
        return '\n'.join(
            f'  {name:<11}{getattr(self, name)!s:<9} {reason}'
            for name, reason in self.why.items()
        )


def choose(
    count: int,
    side: int,
    student: nn.Module,
    own_size: int,
    takes_any_size: bool,
    **given: Any,
) -> Recipe:
    """Choose the numbers that are not given.

    Args:
        count: of training images.
        side: median of the images' shorter sides.
        student: the network, of which its kind of layers is looked at.
        own_size: of the images that the student was made for.
        takes_any_size: whether it takes others.
        given: ``size``, ``batch_size``, ``epochs``, ``lr``, ``workers``;
            None where it is to be chosen.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    why: dict[str, str] = {}

    def take(name: str, value: Any, reason: str) -> Any:
        if given.get(name) is not None:
            value, reason = given[name], 'given'
        why[name] = reason
        return value

    size, reason = own_size, 'what the student was made for'
    if takes_any_size and side < own_size:
        size = max(_STRIDE, side // _STRIDE * _STRIDE)
        reason = f'the images have {side} pixels; a multiple of {_STRIDE}'
    size = take('size', size, reason)
    batch = _LARGEST_BATCH[device]
    while batch > 4 and batch * _BATCHES > count:
        batch //= 2
    batch = take(
        'batch_size',
        min(batch, count),
        f'at least {_BATCHES} steps an epoch, at most {_LARGEST_BATCH[device]}'
        f' images on a {device.upper()}',
    )
    epochs = min(max(round(_SEEN[device] / count), _EPOCHS[0]), _EPOCHS[1])
    epochs = take(
        'epochs',
        epochs,
        f'{_SEEN[device]:,} images on a {device.upper()}, between '
        f'{_EPOCHS[0]} and {_EPOCHS[1]} epochs',
    )
    attends = any(isinstance(m, nn.LayerNorm) for m in student.modules())
    optimizer = 'AdamW' if attends else 'SGD'
    why['optimizer'] = (
        'the student has layer norms, as transformers have'
        if attends
        else 'the student is a convolutional network'
    )
    base = _ADAMW if attends else _SGD
    lr = take(
        'lr',
        float(f'{base * batch / 64:.3g}'),
        f'{base:g} for a batch of 64, in proportion',
    )
    free = max(0, (os.cpu_count() or 1) - 1)
    workers = take(
        'workers', min(4, free), f'processes that load images, of {free + 1}'
    )
    order = 'size batch_size epochs optimizer lr workers'.split()
    return Recipe(
        size,
        batch,
        epochs,
        lr,
        workers,
        optimizer,
        {name: why[name] for name in order},
    )


def schedule(recipe: Recipe, count: int) -> dict[str, Any]:
    """Optimizer and schedule of a config: linear warm-up, then a cosine.

    Args:
        recipe: the numbers.
        count: of training images.
    """
    decay = 5e-4 if recipe.optimizer == 'SGD' else 0.05
    optimizer: dict[str, Any] = dict(
        type=recipe.optimizer, lr=recipe.lr, weight_decay=decay
    )
    if recipe.optimizer == 'SGD':
        optimizer['momentum'] = 0.9
    steps = max(1, count // recipe.batch_size) * recipe.epochs
    warmup = max(1, steps // 20)
    return dict(
        optim_wrapper=dict(
            optimizer=optimizer,
            clip_grad=dict(max_norm=5.0),
        ),
        param_scheduler=[
            dict(
                type='LinearLR',
                start_factor=0.05,
                by_epoch=False,
                end=warmup,
            ),
            dict(
                type='CosineAnnealingLR',
                by_epoch=False,
                begin=warmup,
                end=steps,
                T_max=max(1, steps - warmup),
            ),
        ],
    )
