from __future__ import annotations

import torch
from mmengine.hooks import CheckpointHook, Hook
from torch import Tensor

from mmdistill.ops import all_reduce_sum
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops a run whose loss is NaN or infinite, and says which and when.

    Every step is looked at on the device, without the host waiting; the host
    asks every ``interval`` steps and before MMEngine's CheckpointHook writes,
    so the last checkpoint is always a good one.

    Args:
        interval: steps between two questions.
    Raises:
        FloatingPointError: naming the first iteration that was not finite and
            its losses, in every process.
    Config:
        custom_hooks=[dict(type='FiniteLossHook', interval=50)]
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._since = 0
        self._names: list[str] = []
        self._bad: list[Tensor] = []
        self._checkpoints: list[CheckpointHook] = []

    # All processes ask at the same steps, since they ask each other. Only the
    # first one writes checkpoints: to ask then would wait for ever.
    def before_train(self, runner) -> None:
        self._bad = []
        self._checkpoints = [
            hook
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and not hook.by_epoch
        ]

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        values = {
            name: value.detach()
            for name, value in (outputs or {}).items()
            if isinstance(value, Tensor) and value.numel() == 1
        }
        if list(values) != self._names:
            self._ask(runner)  # another stage has other losses
            self._names = list(values)
        if not values:
            return
        if not self._bad:
            self._since = runner.iter
        numbers = torch.stack([v.reshape(()) for v in values.values()])
        self._bad.append(~numbers.isfinite())
        if (
            self.every_n_train_iters(runner, self.interval)
            or self.is_last_train_iter(runner)
            or any(
                hook.every_n_train_iters(
                    runner, hook.interval, hook.save_begin
                )
                for hook in self._checkpoints
            )
        ):
            self._ask(runner)

    def after_train_epoch(self, runner) -> None:
        self._ask(runner)

    def before_val_epoch(self, runner) -> None:
        self._ask(runner)

    def _ask(self, runner) -> None:
        if not self._bad:
            return
        bad = all_reduce_sum(torch.stack(self._bad).float()).cpu() > 0
        self._bad = []
        if not bad.any():
            return
        first = int(bad.any(dim=1).nonzero()[0])
        names = [
            name
            for name, wrong in zip(self._names, bad[first], strict=True)
            if wrong
        ]
        culprits = [name for name in names if name != 'loss'] or names
        raise FloatingPointError(
            f'the loss became NaN or infinite in iteration '
            f'{self._since + first + 1}: {culprits}; the last checkpoint in '
            f'{runner.work_dir} is from before that. Look at the images of '
            'that batch, lower optim_wrapper.optimizer.lr, or clip gradients '
            'with optim_wrapper.clip_grad'
        )
