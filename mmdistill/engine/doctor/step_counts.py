"""Batches and steps of a training, by its config and number of samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmdistill.engine.doctor.finding import Finding


@dataclass(frozen=True)
class StepCounts:
    """How often a training steps.

    Attributes:
        samples: of the training set.
        batch: samples of a batch, in one process.
        processes: that train.
        accumulated: batches whose gradients make one update.
        per_epoch: batches of an epoch, in one process; None for a sampler
            without an end.
        steps: batches of the whole training; None if it is not known.
        last: samples of an epoch's last batch, if they are fewer.
    """

    samples: int
    batch: int
    processes: int
    accumulated: int
    per_epoch: int | None
    steps: int | None
    last: int

    @classmethod
    def of(
        cls, cfg: Mapping[str, Any], samples: int, processes: int = 1
    ) -> StepCounts:
        """Count those of a config.

        Args:
            cfg: the resolved config.
            samples: length of the training dataset.
            processes: that will train.
        """
        loader = cfg['train_dataloader']
        sampler = loader.get('batch_sampler') or {}
        batch = loader.get('batch_size') or sampler.get('batch_size') or 1
        wrapper = cfg.get('optim_wrapper') or {}
        loop = cfg.get('train_cfg') or {}
        kind = str((loader.get('sampler') or {}).get('type'))
        endless = 'Infinite' in kind
        share = -(-samples // processes)
        last = share % batch
        per_epoch = None
        if not endless and not loader.get('batch_sampler'):
            whole = loader.get('drop_last', False)
            per_epoch = share // batch + (bool(last) and not whole)
        steps = loop.get('max_iters')
        if steps is None and per_epoch and loop.get('max_epochs'):
            steps = per_epoch * loop['max_epochs']
        return cls(
            samples,
            batch,
            processes,
            wrapper.get('accumulative_counts', 1),
            per_epoch,
            steps,
            0 if loader.get('drop_last') or endless else last,
        )

    def __str__(self) -> str:
        update = self.batch * self.processes * self.accumulated
        text = f'batch: {self.batch} samples'
        if self.processes > 1:
            text += f' x {self.processes} processes'
        if self.accumulated > 1:
            text += f' x {self.accumulated} accumulated'
        if update != self.batch:
            text += f' = {update} an update'
        if self.per_epoch is not None:
            text += f', {self.per_epoch} steps an epoch'
        if self.steps is not None:
            text += f', {self.steps} steps in all'
        return text


def uneven_steps(
    cfg: Mapping[str, Any], counts: StepCounts
) -> Iterator[Finding]:
    """Batches that do not divide what they should."""
    if counts.per_epoch == 0:
        yield Finding(
            'train_dataloader.batch_size',
            f'a process has {-(-counts.samples // counts.processes)} samples,'
            f' fewer than a batch of {counts.batch}, and drop_last leaves '
            'out the rest; set a smaller batch_size, or drop_last=False',
        )
        return
    if counts.last == 1 and counts.batch > 1:
        yield Finding(
            'train_dataloader.batch_size',
            'the last batch of an epoch has one sample, which batch '
            'normalization and losses between samples cannot use; set '
            'train_dataloader.drop_last=True or another batch_size',
            is_error=False,
        )
    left = counts.samples % counts.processes
    sampler = cfg['train_dataloader'].get('sampler') or {}
    if left and not sampler.get('round_up', True):
        yield Finding(
            'train_dataloader.sampler.round_up',
            f'{counts.samples} samples do not divide into '
            f'{counts.processes} processes; set it to True',
        )
    if counts.per_epoch and counts.per_epoch % counts.accumulated:
        yield Finding(
            'optim_wrapper.accumulative_counts',
            f'{counts.per_epoch} steps an epoch are no multiple of '
            f'{counts.accumulated}, so that some updates span two epochs',
            is_error=False,
        )
    base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    real = counts.batch * counts.processes
    if base and base != real:
        yield Finding(
            'auto_scale_lr.base_batch_size',
            f'the learning rate is meant for batches of {base}, this run has '
            f'{real}; --auto-scale-lr of tools/train.py adapts it',
            is_error=False,
        )
