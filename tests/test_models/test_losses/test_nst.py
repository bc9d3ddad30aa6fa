"""Neuron selectivity transfer by its definition."""

import pytest
import torch
import torch.nn.functional as F
from helpers import relative_error
from loss_inputs import maps

from mmdistill.models.losses import NSTLoss


def naive_nst(student, teacher):
    """All products of channels at once, (N, C, D, H W) numbers."""

    def kernel(a, b):
        return (a[:, :, None] * b[:, None]).sum(-1).square().mean()

    loss = 0.0
    for s, t in zip(student, teacher, strict=True):
        size = tuple(map(min, s.shape[-2:], t.shape[-2:]))
        s, t = (
            F.normalize(F.adaptive_avg_pool2d(x, size).flatten(2), dim=2)
            for x in (s, t)
        )
        loss = loss + kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)
    return loss


NST_SHAPES = dict(
    # more positions than channels, and the other way round
    channels=[((3, 4, 6, 6), (3, 5, 6, 6)), ((3, 2, 4, 4), (3, 9, 4, 4))],
    positions=[((3, 8, 2, 2), (3, 12, 2, 2)), ((3, 20, 3, 3), (3, 9, 3, 3))],
    sizes=[((3, 4, 6, 6), (3, 5, 3, 3)), ((3, 16, 2, 2), (3, 12, 4, 4))],
    oblong=[((3, 4, 5, 2), (3, 6, 2, 5)), ((3, 16, 1, 3), (3, 5, 3, 3))],
)


@pytest.mark.parametrize('case', NST_SHAPES)
def test_nst_equals_the_broadcast(case):
    shapes = NST_SHAPES[case]
    student = [x.requires_grad_() for s, _ in shapes for x in maps(s)]
    teacher = [x for _, t in shapes for x in maps(t)]
    with torch.no_grad():  # channels that never fire
        student[0][:, 1] = 0
        teacher[1][1, 0] = 0
    value = NSTLoss()(student, teacher)
    grads = torch.autograd.grad(value, student)
    expected = naive_nst(student, teacher)
    expected_grads = torch.autograd.grad(expected, student)
    assert relative_error(value, expected) < 1e-12
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert relative_error(grad, expected_grad) < 1e-10


@pytest.mark.parametrize('case', NST_SHAPES)
def test_nst_gives_no_gradient_to_the_teacher(case):
    (student, teacher), _ = NST_SHAPES[case]
    student = torch.randn(student, requires_grad=True)
    teacher = torch.randn(teacher, requires_grad=True)
    NSTLoss()([student], [teacher]).backward()
    assert student.grad.abs().sum() > 0 and teacher.grad is None


def test_nst_of_equal_maps_is_zero():
    x = [torch.randn(3, 4, 6, 6), torch.randn(3, 12, 2, 2)]
    assert abs(NSTLoss()(x, x)) < 1e-6
