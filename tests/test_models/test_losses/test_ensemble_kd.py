"""Peers learn their mean, in closed form."""

import pytest
import torch
from loss_inputs import CLASSES, N, assert_equal, kl, leaves

from mmdistill.models.losses import CLILRLoss, DMLLoss, EnsembleKDLoss


@pytest.mark.parametrize('m', [2, 4])
def test_ensemble_kd(m):
    z = leaves(m)
    target = sum(x.detach() for x in z) / m
    expected = 0.5 * kl(target, z[-1], 3.0)
    assert_equal(EnsembleKDLoss(3.0, loss_weight=0.5)(z), expected, z)
    others = torch.autograd.grad(
        EnsembleKDLoss()(z), z[:-1], allow_unused=True
    )
    assert others == (None,) * (m - 1)


@pytest.mark.parametrize('kind', [EnsembleKDLoss, DMLLoss, CLILRLoss])
def test_equal_peers_learn_nothing(kind):
    z = torch.randn(N, CLASSES)
    peers = [z.clone().requires_grad_() for _ in range(3)]
    value = kind()(peers)
    value.backward()
    torch.testing.assert_close(value, torch.zeros(()), atol=1e-6, rtol=0)
    for peer in peers:
        if peer.grad is not None:
            assert peer.grad.abs().max() < 1e-6
