"""Hint by the authors, by hand and by its errors."""

import pytest
import torch
import torch.nn.functional as F
from loss_inputs import check_maps

from mmdistill.models.losses import HintLoss, VIDLoss


def test_hint_regresses_every_map_to_the_teachers_width():
    loss_module = HintLoss((4, 8), [6, 12])
    assert [tuple(p.shape) for p in loss_module.parameters()] == [
        (6, 4, 1, 1), (6,), (12, 8, 1, 1), (12,)]  # fmt: skip
    student = [torch.randn(3, 4, 8, 8), torch.randn(3, 8, 4, 4)]
    teacher = [torch.randn(3, 6, 4, 4), torch.randn(3, 12, 8, 8)]
    a, b = loss_module.regressors
    expected = (F.avg_pool2d(a(student[0]), 2) - teacher[0]).square().mean()
    pooled = F.avg_pool2d(teacher[1], 2)
    expected = expected + (b(student[1]) - pooled).square().mean()
    torch.testing.assert_close(loss_module(student, teacher), expected)


def test_hint_takes_the_second_stage_by_default():
    assert HintLoss(4, 6).maps == (2,)


def test_hint_without_regressor_needs_equal_channels():
    HintLoss((4, 8), (4, 8), regressor=False)
    with pytest.raises(ValueError, match=r'\(4, 8\).*\(4, 12\).*regressor'):
        HintLoss((4, 8), (4, 12), regressor=False)


@pytest.mark.parametrize('cls', [HintLoss, VIDLoss])
def test_channels_that_do_not_pair_up(cls):
    with pytest.raises(ValueError, match=r'\(4, 8\).*\(6,\)'):
        cls((4, 8), 6)


def test_hint_regressor_of_the_reference():
    """BatchNorm and ReLU follow the convolution; without one, a refusal."""
    loss_module = HintLoss(4, 6, batch_norm_relu=True)
    layers = [type(layer).__name__ for layer in loss_module.regressors[0]]
    assert layers == ['Conv2d', 'BatchNorm2d', 'ReLU']
    with pytest.raises(ValueError, match='batch_norm_relu=True.*regressor'):
        HintLoss(4, 4, regressor=False, batch_norm_relu=True)


def test_hint(golden):
    loss_module = HintLoss(8, 8, regressor=False)
    assert not list(loss_module.parameters())
    check_maps(loss_module, golden('hint'), golden.bound)
