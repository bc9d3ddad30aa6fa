from __future__ import annotations

import time
from typing import Any

import torch
from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdistill.registry import HOOKS


@HOOKS.register_module()
class TimeLimitHook(Hook):
    """Ends training after some minutes, as if its last step was reached.

    Args:
        minutes: how long training may take.
        interval: steps between two looks at the clock; all processes then do
            as the first one says.
    Raises:
        ValueError: if there is no time at all.
    Config:
        custom_hooks=[dict(type='TimeLimitHook', minutes=90)]
    """

    def __init__(self, minutes: float, interval: int = 50) -> None:
        if minutes <= 0:
            raise ValueError(
                f'TimeLimitHook needs minutes > 0, got {minutes}; leave the '
                'hook out for no limit'
            )
        self.minutes = minutes
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        self.started = time.monotonic()

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any):
        if not self.every_n_train_iters(runner, self.interval):
            return
        minutes = torch.tensor((time.monotonic() - self.started) / 60)
        broadcast(minutes)
        if minutes > self.minutes:
            runner.logger.info(f'{self.minutes:g} minutes are over')
            runner.train_loop.stop_training = True
