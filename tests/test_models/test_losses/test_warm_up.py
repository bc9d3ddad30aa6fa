"""Losses with a warm-up phase against their formulas, written out."""

import pytest
import torch
import torch.nn.functional as F

from mmdistill.models.losses import ABLoss, FSPLoss, FTLoss, Phase


def maps(*shapes):
    return [torch.randn(*s, dtype=torch.float64) for s in shapes]


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


def test_fsp_by_hand():
    student = maps((4, 3, 4, 4), (4, 3, 4, 4), (4, 5, 2, 2))
    teacher = maps((4, 3, 4, 4), (4, 3, 4, 4), (4, 5, 2, 2))
    expected = 0
    for i in range(2):
        flows = []
        for side in (student, teacher):
            b, a = side[i], side[i + 1]
            if b.shape[2] > a.shape[2]:
                b = F.adaptive_avg_pool2d(b, a.shape[2:])
            product = a[:, :, None] * b[:, None]  # (N, C_a, C_b, H, W)
            flows.append(product.mean((3, 4)))
        expected += (flows[0] - flows[1]).pow(2).mean()
    loss = FSPLoss((3, 3, 5), (3, 3, 5))
    torch.testing.assert_close(loss(student, teacher), expected)


@pytest.mark.parametrize(
    'channels, message',
    [
        (((3, 4), (3, 5)), r'\(3, 4\) and the teacher \(3, 5\)'),
        (((3,), (3,)), 'two maps'),
    ],
)
def test_fsp_refuses(channels, message):
    with pytest.raises(ValueError, match=message):
        FSPLoss(*channels)


def factor(x):
    return F.normalize(x.pow(2).mean(1).flatten(1))


def test_ft_phases():
    loss = FTLoss((3,), (8,), rate=0.5).double()
    student, teacher = maps((4, 3, 4, 4)), maps((4, 8, 4, 4))
    expected = (
        (factor(loss.translator(student[0]))
         - factor(loss.paraphraser(teacher[0]))).abs().mean()
    )  # fmt: skip
    value = loss(student, teacher)
    torch.testing.assert_close(value, expected)
    value.backward()
    assert loss.paraphraser[0].weight.grad is None
    assert loss.translator[0].weight.grad is not None
    assert loss.paraphraser(teacher[0]).shape == (4, 4, 4, 4)

    loss.zero_grad()
    loss.phase, loss.loss_weight = Phase.WARMUP, 500.0  # it has no weight
    value = loss(None, teacher)
    again = loss.reconstructor(loss.paraphraser(teacher[0]))
    torch.testing.assert_close(value, F.mse_loss(again, teacher[0]))
    value.backward()
    assert loss.paraphraser[0].weight.grad is not None
    assert loss.translator[0].weight.grad is None


def test_ft_takes_one_map():
    with pytest.raises(ValueError, match='one map'):
        FTLoss((3, 4), (8, 9))
