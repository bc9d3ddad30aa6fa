from __future__ import annotations

import copy

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from mmdistill.engine.utils import unwrap
from mmdistill.registry import LOOPS


@LOOPS.register_module()
class StagedTrainLoop(EpochBasedTrainLoop):
    """Trains methods that begin with a stage of their own (AB, FSP, FT).

    In the first stage only losses with a first stage count, with an optimizer
    of its own, no schedule and no validation. Then training starts as if it
    were epoch 0: a fresh optimizer, the config's schedules, all other losses.
    Epochs are counted through, so checkpoints of both stages lie side by side
    and a run resumes in either.

    With several processes set ``find_unused_parameters=True``: each stage
    leaves some parameters out.

    Args:
        runner, dataloader: as of MMEngine's loop.
        max_epochs: epochs of the second stage.
        first_stage_epochs: epochs of the first; 30 in the CIFAR-100 tables.
        first_stage_optim_wrapper: config of its optimizer; the second stage's
            when None.
        kwargs: of `EpochBasedTrainLoop`; validation counts the second
            stage's epochs.
    Raises:
        ValueError: if no loss of the model has a first stage.
    Config:
        train_cfg=dict(type='StagedTrainLoop', max_epochs=240,
                       first_stage_epochs=30)
    """

    def __init__(
        self,
        runner,
        dataloader,
        max_epochs: int,
        first_stage_epochs: int = 30,
        first_stage_optim_wrapper: dict | None = None,
        val_begin: int = 1,
        **kwargs,
    ) -> None:
        super().__init__(
            runner,
            dataloader,
            max_epochs + first_stage_epochs,
            val_begin=val_begin + first_stage_epochs,
            **kwargs,
        )
        self.first_stage_epochs = first_stage_epochs
        self._first_cfg = first_stage_optim_wrapper
        self._stage = None
        # What each stage steps with: (optim wrapper, parameter schedulers).
        self._tools: dict[int, tuple] = {}
        # Resuming loads the optimizer's state before the loop runs.
        runner.register_hook(_EnterStageHook(self))

    def prepare(self) -> None:
        """Build the first stage's optimizer beside the second's."""
        runner = self.runner
        model = unwrap(runner.model)
        if not hasattr(runner, 'build_optim_wrapper'):
            raise ValueError(
                f'StagedTrainLoop needs a Runner, got {type(runner).__name__}'
                '; leave runner_type out'
            )
        if not any(1 in stages_of(loss) for loss in model.losses.values()):
            raise ValueError(
                'StagedTrainLoop found no loss with a first stage among '
                f'{list(model.losses)}; use one (AB, FSP, FT) or '
                'train_cfg=dict(by_epoch=True, max_epochs=...)'
            )
        cfg = self._first_cfg or runner.cfg.optim_wrapper
        first = runner.build_optim_wrapper(copy.deepcopy(cfg))
        runner.scale_lr(first, runner.auto_scale_lr)
        self._tools = {
            1: (first, []),
            2: (runner.optim_wrapper, runner.param_schedulers),
        }
        self.enter(epoch=0)

    def enter(self, epoch: int) -> None:
        """Be in the stage that an epoch belongs to."""
        stage = 1 if epoch < self.first_stage_epochs else 2
        if stage == self._stage:
            return
        runner = self.runner
        self._stage = stage
        runner.optim_wrapper, runner.param_schedulers = self._tools[stage]
        model = unwrap(runner.model)
        model.zero_grad()  # nothing half accumulated enters the next stage
        model.set_stage(stage)
        runner.logger.info(f'stage {stage} of 2 begins')

    def run_epoch(self) -> None:
        self.enter(self.epoch)
        self.runner.optim_wrapper.initialize_count_status(
            self.runner.model, self.iter, self.max_iters
        )
        super().run_epoch()


class _EnterStageHook(Hook):
    """Has the right optimizer in place before a checkpoint is read."""

    priority = 'VERY_HIGH'

    def __init__(self, loop: StagedTrainLoop) -> None:
        self.loop = loop

    def before_run(self, runner) -> None:
        self.loop.prepare()

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not runner._resume or not self.loop._tools:
            return
        epoch = checkpoint['meta']['epoch']
        self.loop.enter(epoch)
        if epoch == self.loop.first_stage_epochs:
            # It was saved with the first stage's optimizer; the second
            # begins with one of its own.
            checkpoint.pop('optimizer', None)
            checkpoint.pop('param_schedulers', None)


def stages_of(loss) -> tuple[int, ...]:
    """The stages in which a loss counts; the second unless it says more."""
    return getattr(loss, 'stages', (2,))
