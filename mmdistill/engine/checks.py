"""What a run is refused for before its first step, and a file before it."""

from __future__ import annotations

import logging
import os

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner, ValLoop
from torch import nn

from mmdistill.checkpoints import CheckpointError, require_finite
from mmdistill.checkpoints.finite import flattened
from mmdistill.datasets.labels import largest_label
from mmdistill.engine.hooks.momentum_update_hook import MomentumUpdateHook
from mmdistill.engine.loops import TwoPhaseTrainLoop
from mmdistill.engine.resume import missing_for_resume, newest_full
from mmdistill.engine.utils import student_of, unwrap
from mmdistill.models.distillers import BaseDistiller, OfflineDistiller
from mmdistill.models.losses import Phase
from mmdistill.models.memories import FeatureQueue
from mmdistill.models.parts import head_of, is_encoder, prototypes_of


def check_run(runner: Runner) -> None:
    """Raise for a run that would fail, wait for ever or mislead later.

    Args:
        runner: about to take its first training step, with everything built
            and loaded.
    Raises:
        ValueError: naming the config key to change.
    """
    model = unwrap(runner.model)
    is_distiller = isinstance(model, BaseDistiller)
    _check_uneven(runner, is_distiller)
    _check_labels(runner, model)
    if not is_distiller:
        return
    _check_phases(runner.train_loop, model)
    _check_queues(model, len(runner.train_dataloader.dataset))
    _check_unused(runner, model)
    _check_copies(runner, model)
    _check_batch(runner.train_dataloader, model)
    warn_if_untaught(model)


def check_checkpoint(runner: Runner, checkpoint: dict, name: str) -> None:
    """Raise for a file that a run must not go on from, or start with.

    Args:
        checkpoint: what is in it.
        name: its path.
    Raises:
        CheckpointError: if it holds NaN or infinity, or is to be resumed from
            and no full checkpoint.
        ValueError: if the run that wrote it had another teacher.
    """
    if runner._resume:
        lacks = missing_for_resume(checkpoint, runner.param_schedulers)
        if lacks:
            raise CheckpointError(
                f'{name} has no {", ".join(lacks)}, so a run cannot go '
                f'on from it (--resume, or resume=True). '
                f'{_instead(name, runner.work_dir)} To start a new run '
                'from its weights set load_from to it, without --resume.'
            )
    state = {
        key: value
        for key, value in checkpoint.items()
        if key not in ('meta', 'message_hub')
    }
    require_finite(
        dict(flattened(state)),
        name,
        'Set load_from to it, or give it to --resume or to tools/test.py.',
    )
    model = unwrap(runner.model)
    if runner._resume and isinstance(model, BaseDistiller):
        model.targets.check_meta(checkpoint['meta'])


def _check_uneven(runner: Runner, is_distiller: bool) -> None:
    """Refuse shares of the data that would make processes wait for ever.

    An iteration-based loop takes as many steps in every process. Batches of
    different sizes can be joined on the CPU alone.
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
        why = f'take {[*steps]} steps an epoch and would wait for ever'
    elif (
        len({*samples}) > 1
        and torch.cuda.is_available()
        and is_distiller
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


def _check_labels(runner: Runner, model: nn.Module) -> None:
    """Refuse labels that have no class score, in training or validation.

    Torch would name a label on the CPU, and end the process on a GPU. Of a
    long dataset samples at equal distances are looked at.
    """
    if isinstance(model, BaseDistiller) and not model.task_weight:
        return
    learner = student_of(model)
    classes = getattr(head_of(learner), 'num_classes', None)
    if not isinstance(classes, int) or classes < 1:
        return
    datasets = {'train_dataloader': runner.train_dataloader.dataset}
    if type(runner.val_loop) is ValLoop:
        datasets['val_dataloader'] = runner.val_loop.dataloader.dataset
    key = 'model.student' if isinstance(model, BaseDistiller) else 'model'
    for name, dataset in datasets.items():
        largest = largest_label(dataset)
        if largest is not None and largest >= classes:
            raise ValueError(
                f'{key}.head.num_classes={classes} gives scores for the '
                f'labels 0 to {classes - 1}, but {name}.dataset has label '
                f'{largest}; set {key}.head.num_classes={largest + 1} (and '
                'that of a teacher whose scores are compared), or correct '
                'the labels'
            )


def _check_phases(loop: BaseLoop, model: BaseDistiller) -> None:
    names = [
        name
        for name, loss in model.losses.items()
        if Phase.WARMUP in loss.phases
    ]
    if names and not isinstance(loop, TwoPhaseTrainLoop):
        raise ValueError(
            f'losses {names} begin with a warm-up phase, which '
            f'{type(loop).__name__} does not have; set train_cfg=dict('
            "type='TwoPhaseTrainLoop', warmup_epochs=..., max_epochs=...)"
        )


def _check_queues(model: nn.Module, num_samples: int) -> None:
    for name, module in model.named_modules():
        if isinstance(module, FeatureQueue) and module.size > num_samples:
            raise ValueError(
                f'the queue model.{name} keeps {module.size} rows, more '
                f'than the {num_samples} samples of the training dataset:'
                ' it would hold some of them twice; give it a smaller '
                'size'
            )


def _check_unused(runner: Runner, model: BaseDistiller) -> None:
    """Refuse what DDP would stop at: a classifier that no loss reaches."""
    levels = {loss.level for loss in model.losses.values()}
    student = model.student
    unscored = is_encoder(student) and prototypes_of(student) is None
    if (
        get_world_size() > 1
        and not model.task_weight
        and not unscored
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


def _check_copies(runner: Runner, model: BaseDistiller) -> None:
    """Refuse a momentum copy that keeps its first, random weights."""
    moved = {
        hook.target
        for hook in runner.hooks
        if isinstance(hook, MomentumUpdateHook)
    }
    still = {*model.momentum_copies} - {*model.frozen_copies} - moved
    if still:
        raise ValueError(
            f'no hook moves {sorted(still)} of {type(model).__name__}: they '
            'would keep their first weights. Set default_hooks=_base_.'
            'method_hooks, or default_hooks=dict(NAME=dict('
            "type='MomentumUpdateHook', source=..., target=...)) for each"
        )


def _check_batch(loader, model: BaseDistiller) -> None:
    """Refuse batches that are too small for a loss."""
    least, name = model.min_batch()
    last = len(loader.sampler) % (loader.batch_size or 1)
    endless = hasattr(loader.sampler, 'skip')
    short = (
        loader.batch_size if endless or loader.drop_last or not last else last
    )
    if short is not None and short < least:
        raise ValueError(
            f'losses.{name} needs at least {least} samples in a batch, '
            f'but {len(loader.sampler)} samples a process in batches of '
            f'{loader.batch_size} make one of {short}; set '
            'train_dataloader.drop_last=True or another batch_size'
        )


def warn_if_untaught(model: BaseDistiller) -> None:
    """Log a warning if nothing of its teachers reaches a student.

    Without labels it then only learns to agree with copies of itself.
    """
    frozen = model.targets.frozen
    if not isinstance(model, OfflineDistiller) or model.task_weight:
        return
    if frozen and not any(map(model.losses_with, frozen)):
        print_log(
            f'nothing of the {" or the ".join(frozen)}, and no label, reaches '
            f'the student of {type(model).__name__}: it only learns to agree '
            'with its slow copy. Give some loss a teacher as its target, with '
            'a weight above 0, or set model.task_weight',
            logger='current',
            level=logging.WARNING,
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
