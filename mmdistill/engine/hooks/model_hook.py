from __future__ import annotations

import os

import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, FlexibleRunner, set_random_seed
from torch import nn

from mmdistill.datasets import dataset_labels
from mmdistill.datasets.sample_stream import index_samples
from mmdistill.engine.checkpoint import CheckpointError, require_finite
from mmdistill.engine.finite import flattened
from mmdistill.engine.resume import missing_for_resume, newest_full
from mmdistill.models.memories import FeatureQueue


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside a distributed wrapper."""
    return model.module if is_model_wrapper(model) else model


def resumed(runner) -> bool:
    """Whether the run goes on from a checkpoint that was there."""
    return runner._resume and runner._has_loaded


def optimizers(wrapper: OptimWrapper | OptimWrapperDict) -> list:
    """The torch optimizers of a run."""
    if isinstance(wrapper, OptimWrapperDict):
        return [one.optimizer for one in wrapper.values()]
    return [wrapper.optimizer]


class ModelHook(Hook):
    """Tells a distiller what only the runner knows; every runner has it.

    Whatever the model, it takes frozen parameters out of the optimizers,
    refuses uneven shares of the data, and seeds the processes differently.
    Before the run it hands over the training dataset's length and labels and
    lets samples know their index; before the first step it refuses batches
    that some loss could not take; it keeps the teacher's hash in checkpoints.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        # In test and val runs the training loop stays an unbuilt config.
        if not isinstance(runner._train_loop, BaseLoop):
            return
        _drop_frozen(runner.optim_wrapper)
        loader = runner._train_loop.dataloader
        model = unwrap(runner.model)
        if not hasattr(model, 'learn_dataset'):
            return
        index_samples(loader)
        needs = {
            need
            for loss in model.losses.values()
            for need in getattr(loss, 'needs', ())
        }
        labels = dataset_labels(loader.dataset) if 'label' in needs else None
        model.learn_dataset(len(loader.dataset), labels)

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        loader = runner.train_dataloader
        self._check_resume(runner)
        self._check_uneven(runner, model)
        self._seed_process(runner)
        if not hasattr(model, 'min_samples'):
            return
        self._check_stages(runner.train_loop, model)
        self._check_queues(model, len(loader.dataset))
        self._check_unused(runner, model)
        self._check_copies(runner, model)
        least, name = model.min_samples()
        last = len(loader.sampler) % (loader.batch_size or 1)
        endless = hasattr(loader.sampler, 'skip')
        short = (
            loader.batch_size
            if endless or loader.drop_last or not last
            else last
        )
        if short is not None and short < least:
            raise ValueError(
                f'losses.{name} needs at least {least} samples in a batch, '
                f'but {len(loader.sampler)} samples a process in batches of '
                f'{loader.batch_size} make one of {short}; set '
                'train_dataloader.drop_last=True or another batch_size'
            )

    @staticmethod
    def _check_stages(loop, model: nn.Module) -> None:
        staged = [
            name
            for name, loss in model.losses.items()
            if 1 in getattr(loss, 'stages', ())
        ]
        if staged and not hasattr(loop, 'first_stage_epochs'):
            raise ValueError(
                f'losses {staged} begin with a stage of their own, which '
                f'{type(loop).__name__} does not have; set train_cfg=dict('
                "type='StagedTrainLoop', first_stage_epochs=..., "
                'max_epochs=...)'
            )

    @staticmethod
    def _check_resume(runner) -> None:
        if isinstance(runner, FlexibleRunner) and resumed(runner):
            raise ValueError(
                "MMEngine's FlexibleRunner skips an epoch when it resumes; "
                "resume with runner_type='Runner'"
            )

    @staticmethod
    def _check_uneven(runner, model: nn.Module) -> None:
        """Refuse shares of the data that would make processes wait forever.

        An iteration-based loop takes as many steps in every process. Batches
        of different sizes can be joined on the CPU alone.
        """
        if get_world_size() == 1:
            return
        loader = runner.train_dataloader
        share = len(loader), len(loader.sampler)
        shares = [None] * get_world_size()
        dist.all_gather_object(shares, share)
        steps, samples = zip(*shares, strict=True)
        by_iter = hasattr(runner.train_loop, 'dataloader_iterator')
        if len({*steps}) > 1 and not by_iter:
            why = f'take {[*steps]} steps an epoch and would wait forever'
        elif (
            len({*samples}) > 1
            and torch.cuda.is_available()
            and hasattr(model, 'min_samples')
            and not (loader.drop_last and len({*steps}) == 1)
        ):
            why = 'get batches of different sizes, which memories cannot '
            why += 'join on GPUs'
        else:
            return
        raise ValueError(
            f'the processes have {[*samples]} training samples: they {why}; '
            'set train_dataloader.sampler.round_up=True (with a sampler of '
            'your own: equal shares)'
        )

    @staticmethod
    def _seed_process(runner) -> None:
        """Give every process but the first its own random numbers.

        Till here all drew alike: weights and memories begin equal. What is
        drawn for a step (negatives, dropout, crops on the device) differs.
        """
        if get_rank():
            set_random_seed(hash((runner.seed, get_rank())) % 2**32)

    @staticmethod
    def _check_queues(model: nn.Module, num_samples: int) -> None:
        for name, module in model.named_modules():
            if isinstance(module, FeatureQueue) and module.size > num_samples:
                raise ValueError(
                    f'the queue model.{name} keeps {module.size} rows, more '
                    f'than the {num_samples} samples of the training dataset:'
                    ' it would hold some of them twice; give it a smaller '
                    'size'
                )

    @staticmethod
    def _check_unused(runner, model: nn.Module) -> None:
        levels = {
            getattr(loss, 'level', None) for loss in model.losses.values()
        }
        scores = getattr(model.student, 'prototypes', model.student)
        if (
            get_world_size() > 1
            and not model.task_weight
            and scores is not None  # an encoder without prototypes
            and 'logits' not in levels
            and not runner.cfg.get('find_unused_parameters')
            and not (runner.cfg.get('model_wrapper_cfg') or {}).get(
                'find_unused_parameters'
            )
        ):
            raise ValueError(
                'with task_weight=0 and no loss on the logits the '
                "student's classifier (or its prototypes) learns nothing, "
                'which distributed training has to be told: set '
                'find_unused_parameters=True'
            )

    @staticmethod
    def _check_copies(runner, model: nn.Module) -> None:
        moved = {getattr(hook, 'target', None) for hook in runner.hooks}
        still = {*model.momentum_copies} - {*model.frozen_copies} - moved
        if still:
            runner.logger.warning(
                f'no hook moves {sorted(still)} of {type(model).__name__}: '
                'they keep their first weights; add custom_hooks=[dict(type='
                "'MomentumUpdateHook', source=..., target=...)] for each"
            )

    @staticmethod
    def _check_checkpoint(runner, checkpoint: dict) -> None:
        """Refuse files to resume from that are no full ones, or NaN."""
        path = runner._load_from or 'the checkpoint'
        if runner._resume:
            lacks = missing_for_resume(checkpoint, runner.param_schedulers)
            if lacks:
                raise CheckpointError(
                    f'{path} has no {", ".join(lacks)}, so a run cannot go '
                    f'on from it (--resume, or resume=True). '
                    f'{_instead(path, runner.work_dir)} To start a new run '
                    'from its weights set load_from to it, without --resume.'
                )
        state = {
            key: value
            for key, value in checkpoint.items()
            if key not in ('meta', 'message_hub')
        }
        require_finite(
            dict(flattened(state)),
            str(path),
            'Set load_from to it, or give it to --resume or to tools/test.py.',
        )

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        model = unwrap(runner.model)
        if hasattr(model, 'teacher_fingerprint'):
            checkpoint['meta']['teacher_sha256'] = model.teacher_fingerprint()

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self._check_checkpoint(runner, checkpoint)
        model = unwrap(runner.model)
        before = checkpoint.get('meta', {}).get('teacher_sha256')
        if (
            runner._resume
            and before is not None
            and hasattr(model, 'teacher_fingerprint')
            and model.teacher_fingerprint() != before
        ):
            raise ValueError(
                'this run was started with another teacher (the SHA-256 of '
                f'its weights was {before[:12]}…); resume with the same '
                'model.teacher_ckpt, or start anew with load_from'
            )


def _instead(path: str, work_dir: str) -> str:
    """Which file a run could go on from, beside one that does not do."""
    for folder in (os.path.dirname(path), work_dir):
        try:
            full = newest_full(folder)
        except CheckpointError:
            continue
        if full is not None:
            return f'The last full checkpoint there is {full}.'
    return 'There is no full checkpoint beside it.'


def _drop_frozen(wrapper: OptimWrapper | OptimWrapperDict) -> None:
    """Take parameters that never learn out of optimizers.

    Momentum copies and the backbones of linear probes are such.
    MMEngine hands an optimizer every parameter, frozen or not.
    """
    for optimizer in optimizers(wrapper):
        for group in optimizer.param_groups:
            group['params'] = [p for p in group['params'] if p.requires_grad]
