from __future__ import annotations

import math

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from mmdistill.engine.utils import frozen_copies, resumed, unwrap
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class MomentumUpdateHook(Hook):
    """Moves a slow copy of a module towards its source.

    target <- momentum * target + (1 - momentum) * source, once after every
    optimizer step that really happened: not in between the micro-batches of
    gradient accumulation, and not when gradient scaling skipped the step.
    Steps are counted in a buffer of the model, so schedules resume. A run
    that does not resume starts with the copy equal to its source.

    ``momentum`` is the fraction KEPT, as in the papers; the argument of that
    name of MMEngine's EMAHook means 1 minus it.

    Gradient accumulation equals a joined batch for losses that are means of
    per-sample terms (KD, AT, InfoNCE with a fixed queue). It does not for
    BatchNorm networks, nor for losses that compare samples of a batch (RKD)
    or keep statistics of it (ProtoCPC's prior and Sinkhorn, CRD's banks).

    Args:
        source, target: module paths in the model, such as 'student'.
        momentum: fraction of the target kept; 0 copies the source.
        end_momentum: momentum at the end of training, for the schedules
            'cosine' and 'linear'.
        schedule: 'constant', 'cosine' or 'linear' over optimizer steps.
        include_buffers: move floating buffers (BatchNorm's statistics) too,
            and copy the others; without it the target keeps its own.
    Raises:
        ValueError: for unknown paths or schedules, or modules whose
            parameters do not pair up.
    Config:
        default_hooks=dict(teacher=dict(
            type='MomentumUpdateHook', source='student', target='teacher',
            momentum=0.996, end_momentum=1.0, schedule='cosine'))
    """

    priority = 'NORMAL'

    def __init__(
        self,
        source: str,
        target: str,
        momentum: float = 0.996,
        end_momentum: float | None = None,
        schedule: str = 'constant',
        include_buffers: bool = False,
    ) -> None:
        if schedule not in ('constant', 'cosine', 'linear'):
            raise ValueError(
                "schedule must be 'constant', 'cosine' or "
                f"'linear', got {schedule!r}"
            )
        if schedule != 'constant' and end_momentum is None:
            raise ValueError(
                f'schedule={schedule!r} needs end_momentum, the '
                'momentum at the end of training'
            )
        for value in (momentum, end_momentum):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(
                    'momentum is the fraction kept and lies '
                    f'between 0 and 1, got {value}'
                )
        self.source = source
        self.target = target
        self.momentum = momentum
        self.end_momentum = end_momentum
        self.schedule = schedule
        self.include_buffers = include_buffers
        self._buffer = f'momentum_steps_{target.replace(".", "_")}'
        self._stepped = False
        self._watched: list = []

    def momentum_at(self, step: int, total: int) -> float:
        """Momentum of optimizer step ``step`` (from 0) of ``total``."""
        if self.schedule == 'constant':
            return self.momentum
        progress = min(step / max(total, 1), 1.0)
        if self.schedule == 'cosine':
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.momentum + (self.end_momentum - self.momentum) * progress

    def before_run(self, runner) -> None:
        model = unwrap(runner.model)
        if self._buffer not in model._buffers:
            device = next(model.parameters()).device
            model.register_buffer(
                self._buffer, torch.zeros((), dtype=torch.long, device=device)
            )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        # FlexibleRunner loads before the buffer is there to be loaded into.
        saved = checkpoint.get('state_dict', {}).get(self._buffer)
        if saved is not None:
            self.before_run(runner)
            unwrap(runner.model).get_buffer(self._buffer).copy_(saved)

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        if self.target in frozen_copies(model):
            runner.logger.info(
                f'{self.target} has no counterpart and stays as it is'
            )
            self._pairs = None
            return
        self._pairs = self._pair_up(model)
        self._steps = int(model.get_buffer(self._buffer))
        if not resumed(runner):
            self._steps = 0
            self._move(momentum=0.0, everything=True)
        wrappers = self._wrappers(runner)
        accumulated = min(w._accumulative_counts for w in wrappers)
        self._total = runner.max_iters // accumulated

    def before_train_epoch(self, runner) -> None:
        # A loop of stages has an optimizer for each.
        for wrapper in self._wrappers(runner):
            if wrapper.optimizer not in self._watched:
                wrapper.optimizer.register_step_post_hook(self._after_step)
                self._watched.append(wrapper.optimizer)

    @staticmethod
    def _wrappers(runner) -> list:
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            return list(runner.optim_wrapper.values())
        return [runner.optim_wrapper]

    def _after_step(self, optimizer, *_) -> None:
        # A fused optimizer is always called and skips the step by itself.
        skipped = getattr(optimizer, 'found_inf', None)
        self._stepped = skipped is None or not bool(skipped)

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        if not self._stepped or self._pairs is None:
            return
        self._stepped = False
        self._move(self.momentum_at(self._steps, self._total))
        self._steps += 1
        unwrap(runner.model).get_buffer(self._buffer).fill_(self._steps)

    @torch.no_grad()
    def _move(self, momentum: float, everything: bool = False) -> None:
        targets, sources, buffers = self._pairs
        torch._foreach_lerp_(targets, sources, 1 - momentum)
        if self.include_buffers or everything:
            for target, source in buffers:
                if target.is_floating_point():
                    target.lerp_(source, 1 - momentum)
                else:
                    target.copy_(source)

    def _pair_up(
        self, model: nn.Module
    ) -> tuple[list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]]:
        source = self._module(model, 'source', self.source)
        target = self._module(model, 'target', self.target)
        pairs = {}
        for kind in ('parameters', 'buffers'):
            theirs = dict(getattr(source, f'named_{kind}')())
            ours = dict(getattr(target, f'named_{kind}')())
            differing = sorted(set(theirs) ^ set(ours)) + [
                name
                for name in ours
                if name in theirs and ours[name].shape != theirs[name].shape
            ]
            if differing:
                raise ValueError(
                    f'MomentumUpdateHook cannot move {self.target!r} towards '
                    f'{self.source!r}: these {kind} do not pair up: '
                    f'{differing[:8]}; the two need the same architecture'
                )
            pairs[kind] = [(ours[name], theirs[name]) for name in ours]
        targets, sources = map(list, zip(*pairs['parameters'], strict=True))
        return targets, sources, pairs['buffers']

    @staticmethod
    def _module(model: nn.Module, key: str, path: str) -> nn.Module:
        try:
            return model.get_submodule(path)
        except AttributeError as error:
            known = [name for name, _ in model.named_children()]
            raise ValueError(
                f'MomentumUpdateHook.{key}={path!r} is no module of '
                f'{type(model).__name__}, which has {known}'
            ) from error
