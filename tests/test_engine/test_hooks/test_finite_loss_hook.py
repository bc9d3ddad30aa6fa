"""A run stops before anything that is not finite is written."""

import copy

import pytest
import torch
from detection_data import detector, run_config
from helpers import digits_config, hooked, run_distributed, tiny_classifier
from mmengine.hooks import Hook

from mmdistill.checkpoints.finite import not_finite
from mmdistill.engine.runner import DistillRunner
from mmdistill.models.losses import DistillLoss
from mmdistill.registry import HOOKS, MODELS
from mmdistill.utils import register_all_modules

NAN, INF = float('nan'), float('inf')


@MODELS.register_module()
class SpoilsLoss(DistillLoss):
    """From a step on its value, or only its gradient, is not finite."""

    level = 'logits'

    def __init__(self, step, what='value', rank=0, loss_weight=1.0):
        super().__init__(loss_weight)
        self.step, self.what, self.rank = step, what, rank

    def forward(self, student, teacher):
        self.step -= 1
        value = (student * 0).sum()
        here = not torch.distributed.is_initialized() or (
            torch.distributed.get_rank() == self.rank
        )
        if self.step >= 0 or not here:
            return value
        if self.what == 'value':
            return value + NAN
        # sqrt at 0: a loss of 0 with an infinite gradient
        return value.sqrt()


@HOOKS.register_module(force=True)
class SpoilsHook(Hook):
    """Puts NaN into a tensor of the model's after a step."""

    def __init__(self, name, step, rank=0):
        self.name, self.step, self.rank = name, step, rank

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == self.step and runner.rank == self.rank:
            model = getattr(runner.model, 'module', runner.model)
            model.state_dict()[self.name].view(-1)[0] = NAN


def config(folder, step=None, what='value', by_epoch=True, **kwargs):
    """Three steps an epoch, two epochs, no hook that looks for NaN."""
    losses = dict(kd=dict(type='KDLoss'))
    if step is not None:
        losses['bad'] = dict(type='SpoilsLoss', step=step - 1, what=what)
    cfg = digits_config(folder, losses, **kwargs)
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []),
        dict(type='ExportStudentHook'),
    ]
    if not by_epoch:
        cfg.train_cfg = dict(by_epoch=False, max_iters=6, val_interval=3)
        cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
        cfg.default_hooks.checkpoint = dict(
            type='CheckpointHook', by_epoch=False, interval=2)  # fmt: skip
    return cfg


def everything_there_is_finite(folder):
    files = sorted(folder.glob('*.pth'))
    for path in files:
        state = torch.load(path, weights_only=False)['state_dict']
        assert not not_finite(state), path.name
    return [path.name for path in files]


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('step', [1, 3, 4, 6])
def test_a_loss_at_any_step_stops_a_config_without_a_hook(
    tmp_path, step, by_epoch
):
    """At the step of a checkpoint, of a validation, and at the last."""
    cfg = config(tmp_path / 'run', step, by_epoch=by_epoch)
    with pytest.raises(
        FloatingPointError, match=rf"iteration {step}: \['bad'\]"
    ) as raised:
        DistillRunner.from_cfg(cfg).train()
    names = everything_there_is_finite(tmp_path / 'run')
    said = 'the last checkpoint in' in str(raised.value)
    assert said == any(n.startswith(('epoch_', 'iter_')) for n in names)
    assert said != ('has no checkpoint yet' in str(raised.value))
    assert 'student.pth' not in names
    whole = {3: ['epoch_1'], 2: ['iter_2'], 4: ['iter_2', 'iter_4']}
    for at, files in whole.items():
        if by_epoch == (at == 3) and step > at:
            assert {f'{file}.pth' for file in files} <= {*names}


@pytest.mark.parametrize('by_epoch', [True, False])
def test_weights_spoilt_after_a_finite_loss_are_not_written(
    tmp_path, by_epoch
):
    """By a step on an infinite gradient, the last one of all."""
    cfg = config(tmp_path / 'run', 6, 'gradient', by_epoch=by_epoch)
    with pytest.raises(
        FloatingPointError, match='after iteration 6, .*student'
    ):
        DistillRunner.from_cfg(cfg).train()
    names = everything_there_is_finite(tmp_path / 'run')
    assert 'student_best.pth' in names and 'student.pth' not in names


@pytest.mark.parametrize('ema', [False, True])
def test_a_statistic_that_no_loss_shows_is_not_written(tmp_path, ema):
    model = MODELS.build(config(tmp_path / 'x').model)
    bad = next(k for k in model.state_dict() if k.endswith('running_var'))
    hooks = [dict(type='SpoilsHook', name=bad, step=5)]
    if ema:
        hooks.append(dict(type='EMAHook', update_buffers=True))
    cfg = config(tmp_path / 'run', custom_hooks=hooks)
    with pytest.raises(FloatingPointError, match=f'iteration 6, .*{bad}'):
        DistillRunner.from_cfg(cfg).train()
    names = everything_there_is_finite(tmp_path / 'run')
    assert 'epoch_1.pth' in names and 'epoch_2.pth' not in names


def test_accumulated_gradients(tmp_path):
    cfg = config(tmp_path / 'run', 2)
    cfg.optim_wrapper.accumulative_counts = 2
    with pytest.raises(FloatingPointError, match='iteration 2'):
        DistillRunner.from_cfg(cfg).train()


@pytest.mark.parametrize('stage', [1, 2])
def test_either_stage_of_a_staged_run(tmp_path, stage):
    """The first has its own loss alone, and no more than one epoch."""
    hook = dict(
        type='SpoilsHook',
        name='student.backbone.conv1.weight',
        step=3 * stage - 2,
    )
    cfg = config(tmp_path / 'run', custom_hooks=[hook])
    cfg.model.losses.fsp = dict(type='FSPLoss')
    cfg.model.teacher = copy.deepcopy(cfg.model.student)
    cfg.train_cfg = dict(
        type='TwoPhaseTrainLoop', max_epochs=1, warmup_epochs=1
    )
    first, names = (2, "'fsp'") if stage == 1 else (5, "'task', 'kd'")
    with pytest.raises(
        FloatingPointError, match=rf'iteration {first}: \[{names}\]'
    ):
        DistillRunner.from_cfg(cfg).train()
    names = everything_there_is_finite(tmp_path / 'run')
    assert names == ([] if stage == 1 else ['epoch_1.pth'])


def test_a_plain_classifier_stops_and_keeps_the_earlier_student(tmp_path):
    cfg = config(tmp_path / 'run')
    cfg.model = tiny_classifier(data_preprocessor=dict(
        type='ClsDataPreprocessor', mean=[73.2], std=[90.24]))  # fmt: skip
    DistillRunner.from_cfg(cfg).train()
    before = (tmp_path / 'run' / 'student.pth').read_bytes()
    cfg.optim_wrapper.optimizer.lr = 1e30
    cfg.experiment_name += '_again'
    with pytest.raises(FloatingPointError, match=r"iteration \d: \['loss'\]"):
        DistillRunner.from_cfg(cfg).train()
    assert (tmp_path / 'run' / 'student.pth').read_bytes() == before
    everything_there_is_finite(tmp_path / 'run')


def test_a_teacher_whose_answers_are_nan_is_named_by_its_loss(tmp_path):
    teacher = MODELS.build(tiny_classifier(depth=14))
    with torch.no_grad():  # finite weights, infinite products
        for name, weight in teacher.named_parameters():
            weight.mul_(1e30 if 'bn' in name or 'fc' in name else 1)
        teacher.head.fc.bias.fill_(3e38)
    torch.save(teacher.state_dict(), tmp_path / 'teacher.pth')
    cfg = config(tmp_path / 'run')
    cfg.model.teacher_ckpt = str(tmp_path / 'teacher.pth')
    with pytest.raises(FloatingPointError, match=r"iteration 1: \['kd'\]"):
        DistillRunner.from_cfg(cfg).train()


def test_a_diagnostic_that_is_nan_stops_nothing(tmp_path):
    runner = DistillRunner.from_cfg(config(tmp_path / 'run'))
    step = runner.model.train_step

    def train_step(*args, **kwargs):
        return {**step(*args, **kwargs), 'accuracy': torch.tensor(NAN)}

    runner.model.train_step = train_step
    runner.train()
    assert (tmp_path / 'run' / 'epoch_2.pth').is_file()


def share(rank, world, folder):
    register_all_modules()
    cfg = config(
        folder,
        launcher='pytorch',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        ),
        **{'train_dataloader.batch_size': 16},
    )
    model = MODELS.build(cfg.model)
    bad = next(k for k in model.state_dict() if k.endswith('running_mean'))
    cfg.custom_hooks.append(dict(type='SpoilsHook', name=bad, step=5, rank=1))
    with pytest.raises(FloatingPointError) as caught:
        DistillRunner.from_cfg(cfg).train()
    return str(caught.value)


def test_a_statistic_of_the_second_process_stops_both(tmp_path):
    for message in run_distributed(share, 2, str(tmp_path / 'run')):
        assert 'running_mean (process 1)' in message
    everything_there_is_finite(tmp_path / 'run')


def test_a_detector_stops_at_its_losses(tmp_path):
    cfg = run_config(tmp_path / 'run', detector(), epochs=4)
    cfg.optim_wrapper.optimizer.lr = 1e30
    with pytest.raises(FloatingPointError, match=r'iteration \d: \[.*loss_'):
        DistillRunner.from_cfg(cfg).train()
    everything_there_is_finite(tmp_path / 'run')


@MODELS.register_module()
class BreaksLoss(DistillLoss):
    """Is NaN from a certain step on, in one process only."""

    level = 'logits'

    def __init__(self, step, rank=0, loss_weight=1.0):
        super().__init__(loss_weight)
        self.step, self.rank = step, rank

    def forward(self, student, teacher):
        self.step -= 1
        here = not torch.distributed.is_initialized() or (
            torch.distributed.get_rank() == self.rank
        )
        value = (student * 0).sum()
        return value + float('nan') if self.step < 0 and here else value


BREAKS = dict(kd=dict(type='KDLoss'), bad=dict(type='BreaksLoss', step=4))


@pytest.mark.parametrize('interval', [1, 50])
def test_nan_stops_with_its_name_and_keeps_the_checkpoint(tmp_path, interval):
    hook = dict(type='FiniteLossHook', interval=interval)
    runner = hooked(tmp_path, hook, epochs=4, losses=BREAKS)
    with pytest.raises(FloatingPointError, match=r"iteration 5: \['bad'\]"):
        runner.train()
    # three steps an epoch: the first epoch's checkpoint is the last
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']


def test_finite_losses_pass(tmp_path):
    hooked(tmp_path, dict(type='FiniteLossHook', interval=2)).train()
    assert (tmp_path / 'epoch_2.pth').is_file()


@pytest.mark.parametrize('interval', [2, 5])
def test_nan_before_a_checkpoint_by_iterations(tmp_path, interval):
    cfg = dict(by_epoch=False, interval=interval, type='CheckpointHook')
    runner = hooked(
        tmp_path,
        dict(type='FiniteLossHook', interval=50),
        losses=BREAKS,
        **{'default_hooks.checkpoint': cfg},
    )
    with pytest.raises(FloatingPointError, match='iteration 5'):
        runner.train()
    saved = sorted(p.name for p in tmp_path.glob('*.pth'))
    assert saved == (['iter_2.pth', 'iter_4.pth'] if interval == 2 else [])


def nan_of_the_second(rank, world, folder, interval):
    register_all_modules()
    losses = copy.deepcopy(BREAKS)
    losses['bad']['rank'] = 1
    runner = hooked(
        folder,
        dict(type='FiniteLossHook', interval=interval),
        losses=losses,
        launcher='pytorch',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        ),
        **{'train_dataloader.batch_size': 16},
    )
    with pytest.raises(FloatingPointError) as caught:
        runner.train()
    return str(caught.value)


@pytest.mark.parametrize('interval', [1, 50])
def test_nan_in_one_process_stops_both(tmp_path, interval):
    """Also if only the epoch's end makes them ask; the first one saves."""
    for message in run_distributed(
        nan_of_the_second, 2, str(tmp_path), interval
    ):
        assert "iteration 5: ['bad']" in message
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
