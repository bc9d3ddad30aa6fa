import pytest
import torch
from example_plugin import StandardizedKDLoss, TimeLimitHook

from mmdistill.losses import KDLoss, build_loss
from mmdistill.registry import EXPORT_FORMATS, HOOKS, MODELS
from mmdistill.utils import register_all_modules


def test_the_entry_point_registers_the_parts():
    register_all_modules()
    assert MODELS.get('StandardizedKDLoss') is StandardizedKDLoss
    assert HOOKS.get('TimeLimitHook') is TimeLimitHook
    assert 'npz' in EXPORT_FORMATS.module_dict


def test_the_loss_is_kd_of_standardized_logits():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 6, 5, dtype=torch.float64)

    def standard(z):
        return (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True)

    loss = build_loss(StandardizedKDLoss, student, teacher, loss_weight=3.0)
    expected = 3 * KDLoss(2.0)(standard(student), standard(teacher))
    close = dict(rtol=1e-5, atol=0)  # a small constant keeps from 0 / 0
    value = loss(student, teacher)
    torch.testing.assert_close(value, expected, **close)
    # Neither a shift nor a positive scale of either side counts.
    moved = loss(2 * student + 1, 0.5 * teacher - 3)
    torch.testing.assert_close(moved, expected, **close)


def test_no_time_at_all_is_refused():
    with pytest.raises(ValueError, match='minutes > 0'):
        TimeLimitHook(minutes=0)
