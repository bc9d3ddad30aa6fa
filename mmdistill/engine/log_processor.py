"""Logged losses: every part is a mean over the steps of the total."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import LogProcessor


class LossLogProcessor(LogProcessor):
    """MMEngine's, which smooths what has 'loss' in its name and no more.

    A distiller's parts are named as its losses are. Whatever the model
    returned in the last step is a mean over the last ``window_size`` steps, so
    that the parts add up to ``loss``; over fewer where a part is younger, as
    when another stage begins. What it does not return any more is left out.
    Every runner has it unless ``log_processor`` names another type or a
    ``mean_pattern``.
    """

    #: What the model returned in the last training step.
    names: tuple[str, ...] = ()
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


class LossNamesHook(Hook):
    """Tells the log processor what the model returned."""

    priority = 'VERY_HIGH'

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        if isinstance(outputs, dict):
            runner.log_processor.watch(tuple(outputs))
