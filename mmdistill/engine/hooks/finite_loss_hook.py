from __future__ import annotations

from pathlib import Path

import torch
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from torch import Tensor

from mmdistill.checkpoints.finite import flattened, not_finite
from mmdistill.engine.utils import optimizers, unwrap
from mmdistill.ops import all_reduce_sum, world_size
from mmdistill.registry import HOOKS
from mmdistill.utils.text import shown


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops a run whose loss or state is NaN or infinite, and says when.

    Every runner has this hook; a config names it to change ``interval``. The
    loss of every step is looked at on the device, without the host waiting;
    the host asks every ``interval`` steps, and before a validation, a
    checkpoint or a student is written. Then weights, buffers, averaged copies
    and the optimizer's state must be finite, too, in every process: a step
    can spoil them after a finite loss, and BatchNorm's statistics are in no
    loss of training. So what lies in the work folder is always good.

    Args:
        interval: steps between two questions.
    Raises:
        FloatingPointError: in every process, naming the first iteration that
            was not finite and its losses, or the tensors.
    Config:
        default_hooks=dict(
            finite_loss=dict(type='FiniteLossHook', interval=50))
    """

    # After the hooks that move averaged copies, before CheckpointHook.
    priority = 'LOW'

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._since = 0
        self._names: list[str] = []
        self._bad: list[Tensor] = []
        self._checkpoints: list[CheckpointHook] = []
        self._training = False

    # All processes ask at the same steps, since they ask each other. Only the
    # first one writes checkpoints: to ask then would wait for ever.
    def before_train(self, runner) -> None:
        self._bad = []
        self._training = True
        self._checkpoints = [
            hook
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and not hook.by_epoch
        ]
        self._ask(runner, 'before the first step', state=True)

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
        if values:
            if not self._bad:
                self._since = runner.iter
            numbers = torch.stack([v.reshape(()) for v in values.values()])
            self._bad.append(~numbers.isfinite())
        saves = self.is_last_train_iter(runner) or any(
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            for hook in self._checkpoints
        )
        if saves or self.every_n_train_iters(runner, self.interval):
            when = f'after iteration {runner.iter + 1}'
            self._ask(runner, when, state=saves)

    def after_train_epoch(self, runner) -> None:
        self._ask(runner, f'after iteration {runner.iter}', state=True)

    def before_val_epoch(self, runner) -> None:
        if self._training:
            self._ask(runner, f'after iteration {runner.iter}', state=True)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Look at what is written, whoever has it written, and when."""
        state = {
            key: value
            for key, value in checkpoint.items()
            if key not in ('meta', 'message_hub')
        }
        bad = not_finite(dict(flattened(state)))
        if bad:
            raise _error(
                runner, f'to be written in iteration {runner.iter + 1}', bad
            )

    def after_train(self, runner) -> None:
        self._training = False

    def _ask(self, runner, when: str = '', state: bool = False) -> None:
        if self._bad:
            bad = all_reduce_sum(torch.stack(self._bad).float()).cpu() > 0
            self._bad = []
            self._refuse_losses(runner, bad)
        if not state:
            return
        bad = not_finite(_state(runner))
        device = next(unwrap(runner.model).parameters()).device
        if all_reduce_sum(torch.tensor(float(len(bad)), device=device)) > 0:
            raise _error(runner, when, _of_the_first(bad))

    def _refuse_losses(self, runner, bad: Tensor) -> None:
        # What is logged beside the losses, an accuracy of no sample say, may
        # be NaN; the total tells.
        stops = bad.any(dim=1)
        if 'loss' in self._names:
            stops = bad[:, self._names.index('loss')]
        if not stops.any():
            return
        first = int(stops.nonzero()[0])
        names = [
            name
            for name, wrong in zip(self._names, bad[first], strict=True)
            if wrong
        ]
        culprits = [name for name in names if name != 'loss'] or names
        raise FloatingPointError(
            f'the loss became NaN or infinite in iteration '
            f'{self._since + first + 1}: {culprits}; {_kept(runner)}. Look '
            'at the images of that batch, lower optim_wrapper.optimizer.lr, '
            'or clip gradients with optim_wrapper.clip_grad'
        )


def _state(runner) -> dict[str, Tensor]:
    """What a checkpoint of this process would hold, by name."""
    model = unwrap(runner.model)
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            averaged = hook.ema_model.module
            tensors = {
                **dict(averaged.named_parameters()),
                **dict(averaged.named_buffers()),
            }
            state |= {f'EMAHook: {name}': t for name, t in tensors.items()}
    names = {id(p): name for name, p in model.named_parameters()}
    for optimizer in optimizers(runner.optim_wrapper):
        for parameter, values in optimizer.state.items():
            name = names.get(id(parameter), 'another parameter')
            state |= flattened(values, f'optimizer: {name}')
    return state


def _of_the_first(names: list[str]) -> list[str]:
    """The names in the first process that has any."""
    if world_size() == 1:
        return names
    everyone = [None] * world_size()
    torch.distributed.all_gather_object(everyone, names)
    number, names = next((i, n) for i, n in enumerate(everyone) if n)
    return [f'{name} (process {number})' for name in names]


def _error(runner, when: str, names: list[str]) -> FloatingPointError:
    return FloatingPointError(
        f'NaN or infinity stands in {len(names)} tensors {when}, though the '
        f'losses were finite: {shown(names)}; {_kept(runner)}. Lower '
        'optim_wrapper.optimizer.lr, or clip gradients with '
        'optim_wrapper.clip_grad'
    )


def _kept(runner) -> str:
    if not Path(runner.work_dir, 'last_checkpoint').exists():
        return f'{runner.work_dir} has no checkpoint yet'
    return f'the last checkpoint in {runner.work_dir} is from before that'
