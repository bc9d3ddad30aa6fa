"""Clipping tensor by tensor, as DINO's loop does it."""

import copy
from functools import partial
from pathlib import Path

import mmengine.optim.optimizer.amp_optimizer_wrapper as amp
import pytest
import torch
from helpers import digits_config
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn

from mmdistill.engine.optim_wrapper import clip_norm_per_tensor_
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import OPTIM_WRAPPERS

SCHEDULES = Path(__file__).parents[2] / 'configs' / '_base_' / 'schedules'


def parameters(*gradients):
    made = []
    for gradient in gradients:
        parameter = nn.Parameter(torch.zeros_like(gradient))
        parameter.grad = gradient.clone()
        made.append(parameter)
    return made


@pytest.mark.parametrize('max_norm', [0.5, 3, 1e6])
def test_each_gradient_is_scaled_by_its_own_norm(max_norm):
    draw = torch.Generator().manual_seed(0)
    gradients = [
        size * torch.randn(shape, dtype=torch.float64, generator=draw)
        for size, shape in [(9, (4, 3, 3)), (0.1, (5,)), (2, ()), (0, (3, 3))]
    ]
    made = parameters(*gradients)
    norm = clip_norm_per_tensor_([*made, nn.Parameter(gradients[0])], max_norm)
    for parameter, gradient in zip(made, gradients, strict=True):
        factor = max_norm / (gradient.norm() + 1e-6)
        expected = gradient * factor if factor < 1 else gradient
        torch.testing.assert_close(
            parameter.grad, expected, rtol=1e-14, atol=0
        )
        if factor >= 1:
            assert torch.equal(parameter.grad, gradient)
    together = torch.cat([g.flatten() for g in gradients]).norm()
    torch.testing.assert_close(norm, together)


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_a_bad_gradient_stays_bad_and_spoils_no_other(bad):
    made = parameters(torch.tensor([bad, 1.0]), torch.tensor([3.0, 4.0]))
    norm = clip_norm_per_tensor_(made, 1.0)
    assert made[0].grad[0].isnan()
    torch.testing.assert_close(made[1].grad, torch.tensor([0.6, 0.8]))
    assert not norm.isfinite()


class StepsHook(Hook):
    """Keeps what every step of the optimizer takes off the parameters."""

    def __init__(self):
        self.steps = []

    def before_train(self, runner):
        optimizer = runner.optim_wrapper.optimizer
        self.parameters = list(runner.model.parameters())
        optimizer.register_step_pre_hook(self.before_step)
        optimizer.register_step_post_hook(self.after_backward)

    @torch.no_grad()
    def before_step(self, *_):
        self.before = [p.clone() for p in self.parameters]

    @torch.no_grad()
    def after_backward(self, *_):
        pairs = zip(self.before, self.parameters, strict=True)
        self.steps.append([before - after for before, after in pairs])


def train(work_dir, **wrapper):
    cfg = digits_config(work_dir)
    cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=1.0), **wrapper)
    cfg.train_cfg.max_epochs = 1
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = DistillRunner.from_cfg(cfg)
    hook = StepsHook()
    runner.register_hook(hook)
    runner.train()
    return hook.steps, runner


@pytest.mark.parametrize('accumulated', [1, 3])
def test_a_run_clips_each_tensor_once_a_step(tmp_path, accumulated):
    options = dict(accumulative_counts=accumulated)
    free, _ = train(tmp_path / 'a', **options)
    clip = dict(type='norm_per_tensor', max_norm=0.1)
    clipped, runner = train(tmp_path / 'b', **options, clip_grad=clip)
    assert len(free) == len(clipped) == 3 // accumulated
    norms = torch.stack([step.norm() for step in free[0]])
    assert min(norms) < 0.1 < max(norms)
    for step, whole, norm in zip(clipped[0], free[0], norms, strict=True):
        expected = whole * min(1, 0.1 / (norm + 1e-6))
        torch.testing.assert_close(step, expected, rtol=1e-4, atol=1e-6)
    logged = runner.message_hub.get_scalar('train/grad_norm').data[0][0]
    assert logged == pytest.approx(norms.norm().item(), rel=1e-4)


def test_scaled_gradients_are_clipped_at_their_true_norm(monkeypatch):
    """MMEngine's AMP wrapper with torch's own GradScaler on the CPU."""
    monkeypatch.setattr(amp, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(
        amp, 'GradScaler', partial(torch.amp.GradScaler, 'cpu')
    )
    model = nn.Linear(3, 2)
    before = copy.deepcopy(model)
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='AmpOptimWrapper',
            optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
            loss_scale=1024.0,
            clip_grad=dict(type='norm_per_tensor', max_norm=1.5),
        )
    )
    wrapper.update_params(model(torch.ones(1, 3)).sum())
    # The gradients are ones: norms sqrt(6) of the weight, sqrt(2) of the bias.
    step = before.weight - model.weight
    torch.testing.assert_close(step, torch.full((2, 3), 1.5 / 6**0.5))
    torch.testing.assert_close(before.bias - model.bias, torch.ones(2))
    # An overflow is seen before clipping could hide it: no step.
    weight = model.weight.detach().clone()
    wrapper.update_params(model(torch.ones(1, 3)).sum() * float('inf'))
    assert torch.equal(model.weight, weight)


@pytest.mark.parametrize(
    'clip, message',
    [(dict(type='norm_per_layer', max_norm=3.0), 'norm_per_tensor'),
     (dict(type='norm_per_tensor'), 'max_norm > 0'),
     (dict(type='norm_per_tensor', max_norm=0), 'max_norm > 0'),
     (dict(type='norm_per_tensor', max_norm=1, foreach=True), 'foreach')],
)  # fmt: skip
def test_bad_clipping_is_refused(clip, message):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    cfg = dict(type='OptimWrapper', optimizer=optimizer, clip_grad=clip)
    with pytest.raises(ValueError, match=message):
        OPTIM_WRAPPERS.build(cfg)


@pytest.mark.parametrize('name', ['dino_100e', 'dino_vit_100e'])
def test_dinos_schedules_clip_each_tensor(name):
    cfg = Config.fromfile(SCHEDULES / f'{name}.py')
    clip = dict(type='norm_per_tensor', max_norm=3.0)
    assert cfg.optim_wrapper.clip_grad == clip
