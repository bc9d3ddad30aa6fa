"""Activation boundaries by hand."""

import torch
from loss_inputs import maps

from mmdistill.models.losses import ABLoss


def test_ab_by_hand():
    shapes = (4, 3, 4, 4), (4, 5, 2, 2)
    student, teacher = maps(*shapes), maps(*shapes)
    loss = ABLoss((3, 5), (3, 5), margin=1.0).double()
    expected = 0
    for i, (s, t) in enumerate(zip(student, teacher, strict=True)):
        total = 0.0
        for a, b in zip(s.flatten(), t.flatten(), strict=True):
            if b <= 0 and a > -1:
                total += (a + 1) ** 2
            if b > 0 and a <= 1:
                total += (a - 1) ** 2
        expected += 2.0 ** (i - 2 + 1) * total / 4 * 3 / 1000
    torch.testing.assert_close(loss(student, teacher), expected)


def test_ab_connects_widths_and_sizes():
    loss = ABLoss((3, 5), (6, 5))
    assert isinstance(loss.connectors[1], torch.nn.Identity)
    student = [torch.randn(4, 3, 8, 8), torch.randn(4, 5, 4, 4)]
    teacher = [torch.randn(4, 6, 4, 4), torch.randn(4, 5, 8, 8)]
    value = loss(student, teacher)
    value.backward()
    grads = [p.grad for p in loss.parameters()]
    assert value.isfinite() and len(grads) == 4
    assert all(g.isfinite().all() for g in grads)
