import copy
import math
import os

import pytest
import torch
from helpers import digits_config
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn

from mmdistill.engine.hooks import MomentumUpdateHook
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS, OPTIM_WRAPPERS


@MODELS.register_module()
class Regression(BaseModel):
    """A net without BatchNorm, a slow copy, a per-sample mean as loss."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.slow = copy.deepcopy(self.net).requires_grad_(False)
        self.net.register_buffer('scale', torch.ones(2))
        self.slow.register_buffer('scale', torch.ones(2))

    def forward(self, inputs, mode='tensor'):
        out = self.net(inputs.float())
        if mode != 'loss':
            return out
        with torch.no_grad():
            self.net.scale.mul_(1.5)
        return dict(loss=(out - inputs.sum(1, keepdim=True)).pow(2).mean())


class Points(torch.utils.data.Dataset):
    def __init__(self):
        self.x = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return 32

    def __getitem__(self, i):
        return dict(inputs=self.x[i])


def run(tmp_path, batch_size=8, accumulative_counts=1, epochs=2, wrapper=None,
        resume=False, max_epochs=None, **hook):  # fmt: skip
    hook = dict(source='net', target='slow', momentum=0.9) | hook
    torch.manual_seed(0)
    model = Regression()
    with torch.no_grad():
        for p in model.slow.parameters():
            p.add_(1)  # out of step: the hook must begin by copying
    loader = torch.utils.data.DataLoader(Points(), batch_size=batch_size)
    runner = DistillRunner(
        model=model,
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(
            type=wrapper or 'OptimWrapper',
            optimizer=dict(type='SGD', lr=0.1),
            accumulative_counts=accumulative_counts,
        ),
        custom_hooks=[dict(type='MomentumUpdateHook', **hook)],
        default_scope='mmdistill',
        experiment_name=f'ema_{os.urandom(6).hex()}',
        log_level='ERROR',
        resume=resume,
    )
    runner.train()
    return runner


def slow(runner) -> dict[str, torch.Tensor]:
    return runner.model.slow.state_dict()


def expected_after(steps, momentum_at=lambda t: 0.9):
    """The recursion by hand, full batches of 8 in order."""
    torch.manual_seed(0)
    model = Regression()
    net, copy_ = model.net, copy.deepcopy(model.net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x = Points().x
    for t in range(steps):
        rows = x[(8 * t) % 32 : (8 * t) % 32 + 8]
        loss = (net(rows) - rows.sum(1, keepdim=True)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        m = momentum_at(t)
        with torch.no_grad():
            for a, b in zip(copy_.parameters(), net.parameters(), strict=True):
                a.copy_(m * a + (1 - m) * b)
    return dict(copy_.named_parameters())


def assert_close(state, expected):
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value.detach())


def test_recursion(tmp_path):
    runner = run(tmp_path)
    assert_close(slow(runner), expected_after(8))
    assert int(runner.model.momentum_steps_slow) == 8


@pytest.mark.parametrize('schedule', ['cosine', 'linear'])
def test_schedules(tmp_path, schedule):
    def momentum_at(t):
        progress = t / 8
        if schedule == 'cosine':
            progress = (1 - math.cos(math.pi * progress)) / 2
        return 0.5 + 0.5 * progress

    runner = run(tmp_path, momentum=0.5, end_momentum=1.0, schedule=schedule)
    assert_close(slow(runner), expected_after(8, momentum_at))


def test_momentum_zero_copies_exactly(tmp_path):
    runner = run(tmp_path, momentum=0.0)
    for name, value in runner.model.net.named_parameters():
        assert torch.equal(value, slow(runner)[name])


def test_accumulation_equals_the_joined_batch(tmp_path):
    joined = run(tmp_path / 'a', batch_size=8)
    micro = run(tmp_path / 'b', batch_size=2, accumulative_counts=4)
    assert int(micro.model.momentum_steps_slow) == 8
    assert_close(slow(micro), slow(joined) | dict(
        scale=slow(micro)['scale']))  # fmt: skip


def test_buffers_by_choice(tmp_path):
    without = run(tmp_path / 'a', epochs=1)
    assert torch.equal(slow(without)['scale'], torch.ones(2))
    with_buffers = run(tmp_path / 'b', epochs=1, include_buffers=True)
    expected, source = torch.ones(2), torch.ones(2)
    for _ in range(4):
        source = source * 1.5
        expected = 0.9 * expected + 0.1 * source
    torch.testing.assert_close(slow(with_buffers)['scale'], expected)


@OPTIM_WRAPPERS.register_module()
class OverflowsOptimWrapper(OptimWrapper):
    """torch's GradScaler on the CPU; each second gradient is infinite."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scaler = torch.amp.GradScaler('cpu')
        self.backwards = 0

    def backward(self, loss, **kwargs):
        factor = float('inf') if self.backwards % 2 else 1.0
        self.backwards += 1
        super().backward(self.scaler.scale(loss * factor), **kwargs)

    def step(self, **kwargs):
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()


def test_steps_that_a_scaler_skips_do_not_move_the_copy(tmp_path):
    runner = run(tmp_path, wrapper='OverflowsOptimWrapper', momentum=0.0)
    assert runner.optim_wrapper.backwards == 8
    assert int(runner.model.momentum_steps_slow) == 4
    for name, value in runner.model.net.named_parameters():
        assert value.isfinite().all()
        assert torch.equal(value, slow(runner)[name])


def test_resume_goes_on(tmp_path):
    whole = run(tmp_path / 'a', epochs=4, schedule='linear', end_momentum=1.0)
    # The schedule runs over all 4 epochs in both runs: stop the first by hand.
    cfg = dict(schedule='linear', end_momentum=1.0)

    class Stop(Exception):
        pass

    def stop(self, runner):
        if runner.epoch == 2:
            raise Stop
        before(self, runner)

    before = MomentumUpdateHook.before_train_epoch
    MomentumUpdateHook.before_train_epoch = stop
    try:
        with pytest.raises(Stop):
            run(tmp_path / 'b', epochs=4, **cfg)
    finally:
        MomentumUpdateHook.before_train_epoch = before
    resumed = run(tmp_path / 'b', epochs=4, resume=True, **cfg)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert int(resumed.model.momentum_steps_slow) == 16


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(source='nett'), "'nett'.*'net', 'slow'"),
        (dict(source='net.0', target='slow.2'), 'do not pair up'),
    ],
)
def test_bad_paths(tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **kwargs)


@pytest.mark.parametrize(
    'kwargs',
    [dict(schedule='step'), dict(schedule='cosine'), dict(momentum=1.5)],
)
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match='momentum|schedule'):
        MomentumUpdateHook('a', 'b', **kwargs)


def test_in_a_distiller(tmp_path):
    """A slow student beside the student, in a real run on digits."""
    cfg = digits_config(tmp_path, custom_hooks=[
        dict(type='MomentumUpdateHook', source='student.backbone',
             target='slow', momentum=0.5)])  # fmt: skip
    assert isinstance(cfg, Config)
    runner = DistillRunner.from_cfg(cfg)
    model = runner.model
    model.slow = copy.deepcopy(model.student.backbone).requires_grad_(False)
    runner.train()
    assert int(model.momentum_steps_slow) == 6
    student = dict(model.student.backbone.named_parameters())
    assert any(
        not torch.equal(value, student[name])
        for name, value in model.slow.named_parameters()
    )
