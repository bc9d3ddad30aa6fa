"""Factor transfer and its phases."""

import pytest
import torch
import torch.nn.functional as F
from loss_inputs import maps

from mmdistill.models.losses import FTLoss, Phase


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
