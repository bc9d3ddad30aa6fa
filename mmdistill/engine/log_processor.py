"""Logged losses: every part is a mean over the steps of the total.

How fast the run is, and what it waits for, stands beside them.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import LogProcessor


class LossLogProcessor(LogProcessor):
    """MMEngine's, which smooths what has 'loss' in its name and no more.

    A distiller's parts are named as its losses are. Whatever the model
    returned in the last step is a mean over the last ``window_size`` steps, so
    that the parts add up to ``loss``; over fewer where a part is younger, as
    when another stage begins. What it does not return any more is left out.

    ``images_per_second`` counts samples of all processes, each once however
    many views it has. ``data_wait`` is the share of a step, 0 to 1, in which
    it waits for the dataloader: much of it asks for more ``num_workers``.

    Every runner has it unless ``log_processor`` names another type or a
    ``mean_pattern``.
    """

    #: What the model returned in the last training step.
    names: tuple[str, ...] = ()
    #: Samples of the last training step in this process; None if unknown.
    samples: int | None = None
    _seen: frozenset[str] = frozenset()

    def watch(self, names: tuple[str, ...]) -> None:
        """Take the names of a step's losses, the total's among them."""
        self.names = names
        self._seen = self._seen | set(names)

    def _collect_scalars(
        self, custom_cfg, runner, mode, reserve_prefix=False
    ) -> dict:
        tag = super()._collect_scalars(
            custom_cfg, runner, mode, reserve_prefix
        )
        if mode != 'train' or not self.names:
            return tag
        prefix = f'{mode}/' if reserve_prefix else ''
        tag = self._speed(tag, prefix) | tag  # before the losses
        chosen = {c.get('log_name', c['data_src']) for c in custom_cfg}
        for name in self._seen - {*self.names} - chosen:
            tag.pop(prefix + name, None)
        buffers = {
            name: runner.message_hub.get_scalar(f'{mode}/{name}')
            for name in self.names
        }
        window = min(
            self.window_size, *(len(b.data[0]) for b in buffers.values())
        )
        for name in {*self.names} - chosen:
            tag[prefix + name] = buffers[name].mean(window)
        return tag

    def _speed(self, tag: dict, prefix: str) -> dict:
        """Images a second, and the share of waiting for them."""
        seconds, found = tag.get(f'{prefix}time'), {}
        if not seconds:
            return found  # a run without IterTimerHook
        if self.samples:
            images = self.samples * get_world_size()
            found[f'{prefix}images_per_second'] = round(images / seconds)
        waited = tag.get(f'{prefix}data_time')
        if waited is not None:
            found[f'{prefix}data_wait'] = min(waited / seconds, 1.0)
        return found


def samples_of(batch: Any) -> int | None:
    """How many samples a batch has; None if it does not tell."""
    samples = batch.get('data_samples') if isinstance(batch, dict) else None
    return len(samples) if isinstance(samples, Sized) else None


class LossNamesHook(Hook):
    """Tells the log processor what the model returned, and of how much."""

    priority = 'VERY_HIGH'

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        if isinstance(outputs, dict):
            runner.log_processor.watch(tuple(outputs))
        runner.log_processor.samples = samples_of(data_batch)
