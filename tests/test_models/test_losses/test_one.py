"""ONE by hand."""

import pytest
import torch
import torch.nn.functional as F
from loss_inputs import CLASSES, SHARED, N, assert_equal, kl, leaves

from mmdistill.models.losses import ONELoss


def one_by_hand(loss, z, label, shared):
    linear, norm, _ = loss.gate
    h = F.linear(shared, linear.weight, linear.bias)
    h = (h - h.mean(0)) / (h.var(0, unbiased=False) + norm.eps).sqrt()
    gate = (norm.weight * h + norm.bias).relu().softmax(1)
    ensemble = sum(gate[:, [m]] * x for m, x in enumerate(z))
    known = label >= 0
    supervised = F.cross_entropy(ensemble[known], label[known])
    return supervised + sum(kl(ensemble.detach(), x, 3.0) for x in z)


@pytest.mark.parametrize('unlabelled', [0, 2])
def test_one(unlabelled):
    loss = ONELoss(num_peers=3, shared_dim=SHARED).double()
    z, (shared,) = leaves(3), leaves(1, SHARED)
    label = torch.arange(N) % CLASSES
    label[:unlabelled] = -1
    inputs = [*z, shared, *loss.parameters()]
    expected = one_by_hand(loss, z, label, shared)
    assert_equal(loss(z, label, shared), expected, inputs)


def test_one_without_any_label():
    loss = ONELoss(num_peers=2, shared_dim=SHARED)
    z = torch.zeros(2, N, CLASSES)  # nothing to learn from each other
    value = loss(list(z), torch.full((N,), -1), torch.randn(N, SHARED))
    assert value == 0
