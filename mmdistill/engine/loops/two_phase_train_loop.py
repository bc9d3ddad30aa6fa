from __future__ import annotations

import copy
import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop

from mmdistill.engine.utils import unwrap
from mmdistill.models.distillers import OfflineDistiller
from mmdistill.models.losses import Phase
from mmdistill.registry import LOOPS


@LOOPS.register_module()
class TwoPhaseTrainLoop(EpochBasedTrainLoop):
    """Trains methods that begin with a warm-up phase (AB, FSP, FT).

    In the warm-up only losses with such a phase count, with an optimizer of
    its own, no schedule and no validation. Then training starts as if it were
    epoch 0: a fresh optimizer, the config's schedules, the losses of the main
    phase. Epochs are counted through, so checkpoints of both phases lie side
    by side and a run resumes in either.

    With several processes set ``find_unused_parameters=True``: each phase
    leaves some parameters out.

    Args:
        runner, dataloader: as of MMEngine's loop.
        max_epochs: epochs of the main phase.
        warmup_epochs: epochs of the warm-up; 30 in the CIFAR-100 tables.
        warmup_optim_wrapper: config of its optimizer; the main phase's when
            None.
        kwargs: of `EpochBasedTrainLoop`; validation counts the main phase's
            epochs.
    Raises:
        ValueError: if no loss of the model has a warm-up.
    Config:
        train_cfg=dict(type='TwoPhaseTrainLoop', max_epochs=240,
                       warmup_epochs=30)
    """

    def __init__(
        self,
        runner,
        dataloader,
        max_epochs: int,
        warmup_epochs: int = 30,
        warmup_optim_wrapper: dict | None = None,
        val_begin: int = 1,
        **kwargs,
    ) -> None:
        super().__init__(
            runner,
            dataloader,
            max_epochs + warmup_epochs,
            val_begin=val_begin + warmup_epochs,
            **kwargs,
        )
        self.warmup_epochs = warmup_epochs
        self._warmup_cfg = warmup_optim_wrapper
        self._phase: Phase | None = None
        # What each phase steps with: (optim wrapper, parameter schedulers).
        self._tools: dict[Phase, tuple] = {}
        # Resuming loads the optimizer's state before the loop runs.
        runner.register_hook(_EnterPhaseHook(self))

    def prepare(self) -> None:
        """Build the warm-up's optimizer beside the main phase's."""
        runner = self.runner
        model = unwrap(runner.model)
        if not isinstance(model, OfflineDistiller) or not any(
            Phase.WARMUP in loss.phases for loss in model.losses.values()
        ):
            raise ValueError(
                'TwoPhaseTrainLoop found no loss with a warm-up phase in '
                f'{type(model).__name__}; use an OfflineDistiller with one '
                '(AB, FSP, FT), or train_cfg=dict(by_epoch=True, '
                'max_epochs=...)'
            )
        cfg = self._warmup_cfg or runner.cfg.optim_wrapper
        warmup = runner.build_optim_wrapper(copy.deepcopy(cfg))
        runner.scale_lr(warmup, runner.auto_scale_lr)
        self._tools = {
            Phase.WARMUP: (warmup, []),
            Phase.MAIN: (runner.optim_wrapper, runner.param_schedulers),
        }
        self.enter(epoch=0)

    def enter(self, epoch: int) -> None:
        """Be in the phase that an epoch belongs to."""
        phase = Phase.WARMUP if epoch < self.warmup_epochs else Phase.MAIN
        if phase == self._phase:
            return
        runner = self.runner
        self._phase = phase
        runner.optim_wrapper, runner.param_schedulers = self._tools[phase]
        model = unwrap(runner.model)
        model.zero_grad()  # nothing half accumulated enters the next phase
        model.set_phase(phase)
        runner.logger.info(f'the {phase.value} phase begins')

    def run_epoch(self) -> None:
        self.enter(self.epoch)
        self.runner.optim_wrapper.initialize_count_status(
            self.runner.model, self.iter, self.max_iters
        )
        super().run_epoch()


@LOOPS.register_module()
class StagedTrainLoop(TwoPhaseTrainLoop):
    """`TwoPhaseTrainLoop` as the first edition called it.

    Args:
        args, kwargs: of `TwoPhaseTrainLoop`, with ``first_stage_`` for
            ``warmup_``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        print_log(
            "train_cfg.type='StagedTrainLoop' and first_stage_* are of the "
            "first edition: write 'TwoPhaseTrainLoop' and warmup_*; see "
            'UPGRADING.md',
            logger='current',
            level=logging.WARNING,
        )
        super().__init__(
            *args,
            **{
                key.replace('first_stage_', 'warmup_'): value
                for key, value in kwargs.items()
            },
        )


class _EnterPhaseHook(Hook):
    """Has the right optimizer in place before a checkpoint is read."""

    priority = 'VERY_HIGH'

    def __init__(self, loop: TwoPhaseTrainLoop) -> None:
        self.loop = loop

    def before_run(self, runner) -> None:
        self.loop.prepare()

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not runner._resume or not self.loop._tools:
            return
        epoch = checkpoint['meta']['epoch']
        self.loop.enter(epoch)
        if epoch == self.loop.warmup_epochs:
            # It was saved with the warm-up's optimizer; the main phase begins
            # with one of its own.
            checkpoint.pop('optimizer', None)
            checkpoint.pop('param_schedulers', None)
