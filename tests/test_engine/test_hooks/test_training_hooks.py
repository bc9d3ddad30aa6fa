"""Freezing, schedules of attributes, and losses that are not finite."""

import copy

import pytest
import torch
from helpers import digits_config, run_distributed

from mmdistill.engine.runner import DistillRunner
from mmdistill.models.losses import DistillLoss
from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules


def run(work_dir, *hooks, epochs=2, **kwargs):
    cfg = digits_config(work_dir, custom_hooks=list(hooks), **kwargs)
    cfg.train_cfg.max_epochs = epochs
    runner = DistillRunner.from_cfg(cfg)
    return runner


def watch(runner):
    """The student's classifier before every step, and at the end."""
    seen = []
    original = runner.model.train_step

    def train_step(*args, **kwargs):
        seen.append(runner.model.student.head.fc.weight.detach().clone())
        return original(*args, **kwargs)

    runner.model.train_step = train_step
    runner.train()
    return [*seen, runner.model.student.head.fc.weight.detach().clone()]


@pytest.mark.parametrize(
    'limit, steps', [({'iters': 4}, 4), ({'epochs': 1}, 3)]
)
def test_freeze(tmp_path, limit, steps):
    hook = dict(type='FreezeHook', module='student.head.fc', **limit)
    runner = run(
        tmp_path, hook, **{'optim_wrapper.optimizer.weight_decay': 0.1}
    )
    seen = watch(runner)
    for before, after in zip(seen[:steps], seen[1:], strict=False):
        assert torch.equal(before, after)  # weight decay does not act either
    assert not torch.equal(seen[steps], seen[steps + 1])
    # everything else has learnt from the first step on
    momentum = runner.optim_wrapper.optimizer.state
    assert len(momentum) == len(list(runner.model.student.parameters()))


def test_freeze_with_accumulation(tmp_path):
    hook = dict(type='FreezeHook', module='student.head.fc', iters=2)
    runner = run(tmp_path, hook, **{'optim_wrapper.accumulative_counts': 2})
    seen = watch(runner)
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[2], seen[4])


@pytest.mark.parametrize(
    'hook, message',
    [(dict(module='student.head.fc'), 'one of iters and epochs'),
     (dict(module='student.tail', epochs=1), 'no module')])  # fmt: skip
def test_freeze_of_nothing(tmp_path, hook, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, dict(type='FreezeHook', **hook)).train()


def test_attribute_schedule(tmp_path):
    hook = dict(
        type='AttributeScheduleHook',
        attribute='losses.kd.temperature',
        start=1.0,
        end=4.0,
        epochs=3,
    )
    runner = run(tmp_path, hook, epochs=4)
    seen = []
    loss = runner.model.losses['kd']
    loss.register_forward_pre_hook(lambda *_: seen.append(loss.temperature))
    runner.train()
    assert seen == pytest.approx([1.0] * 3 + [2.5] * 3 + [4.0] * 6)


def test_attribute_schedule_resumes(tmp_path):
    hook = dict(
        type='AttributeScheduleHook',
        attribute='losses.kd.temperature',
        start=1.0,
        end=4.0,
        epochs=2,
    )
    run(tmp_path, hook, epochs=1).train()
    runner = run(tmp_path, hook, epochs=3, resume=True)
    runner.train()
    assert runner.model.losses['kd'].temperature == 4.0


@pytest.mark.parametrize('path', ['losses.kd.heat', 'losses.crd.temperature'])
def test_attribute_that_is_none(tmp_path, path):
    hook = dict(
        type='AttributeScheduleHook', attribute=path, start=0, end=1, epochs=2
    )
    with pytest.raises(ValueError, match='no number'):
        run(tmp_path, hook).train()


@MODELS.register_module(force=True)
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
    runner = run(tmp_path, hook, epochs=4, losses=BREAKS)
    with pytest.raises(FloatingPointError, match=r"iteration 5: \['bad'\]"):
        runner.train()
    # three steps an epoch: the first epoch's checkpoint is the last
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']


def test_finite_losses_pass(tmp_path):
    run(tmp_path, dict(type='FiniteLossHook', interval=2)).train()
    assert (tmp_path / 'epoch_2.pth').is_file()


@pytest.mark.parametrize('interval', [2, 5])
def test_nan_before_a_checkpoint_by_iterations(tmp_path, interval):
    cfg = dict(by_epoch=False, interval=interval, type='CheckpointHook')
    runner = run(
        tmp_path,
        dict(type='FiniteLossHook', interval=50),
        losses=BREAKS,
        **{'default_hooks.checkpoint': cfg},
    )
    with pytest.raises(FloatingPointError, match='iteration 5'):
        runner.train()
    saved = sorted(p.name for p in tmp_path.glob('*.pth'))
    assert saved == (['iter_2.pth', 'iter_4.pth'] if interval == 2 else [])


def share(rank, world, folder, interval):
    register_all_modules()
    losses = copy.deepcopy(BREAKS)
    losses['bad']['rank'] = 1
    runner = run(
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
    for message in run_distributed(share, 2, str(tmp_path), interval):
        assert "iteration 5: ['bad']" in message
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
