"""Variational information distillation by the authors; its variance."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import relative_error
from loss_inputs import check_maps, maps

from mmdistill.models.losses import VIDLoss


@pytest.mark.parametrize('variance', [0.01, 5.0, 2000.0])
def test_vid_starts_at_the_given_variance(variance):
    loss_module = VIDLoss((4, 8), (6, 12), init_variance=variance).double()
    student = maps((2, 4, 4, 4), (2, 8, 2, 2))
    teacher = maps((2, 6, 8, 8), (2, 12, 2, 2))
    expected = 0.0
    for regressor, s, t in zip(
        loss_module.regressors, student, teacher, strict=True
    ):
        t = F.adaptive_avg_pool2d(t, s.shape[-2:])
        gaussian = torch.distributions.Normal(
            regressor(s), torch.tensor(variance, dtype=s.dtype).sqrt()
        )
        constant = math.log(2 * math.pi) / 2
        expected += -gaussian.log_prob(t).mean() - constant
    # log_scale was made in float32.
    assert relative_error(loss_module(student, teacher), expected) < 1e-5


def test_vid_variance_below_eps():
    with pytest.raises(ValueError, match='init_variance=1e-06.*eps=1e-05'):
        VIDLoss(4, 6, init_variance=1e-6)


def test_vid(golden):
    g = golden('vid')
    loss_module = VIDLoss(8, 12, init_variance=5.0, eps=1e-5)
    loss_module.to(golden.dtype)
    first, _, second, _, third = loss_module.regressors[0]
    parameters = dict(
        w0=first.weight,
        w1=second.weight,
        w2=third.weight,
        log_scale=loss_module.log_scales[0],
    )
    assert len(parameters) == len(list(loss_module.parameters()))
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(g[f'param_{name}'])
    check_maps(loss_module, g, golden.bound)
    for name, parameter in parameters.items():
        error = relative_error(parameter.grad, g[f'grad_param_{name}'])
        assert error < golden.bound
