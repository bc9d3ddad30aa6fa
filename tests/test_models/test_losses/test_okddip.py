"""OKDDip by hand."""

import pytest
import torch
from loss_inputs import CLASSES, DIM, assert_equal, kl, leaves

from mmdistill.models.losses import OKDDipLoss


@pytest.mark.parametrize('m', [3, 4])
def test_okddip(m):
    loss = OKDDipLoss(feature_dim=(DIM,) * m, reduction=8).double()
    z, f = leaves(m), leaves(m, DIM)
    assert loss.query.weight.shape == loss.key.weight.shape == (2, DIM)
    expected = kl(sum(z[:-1]) / (m - 1), z[-1], 3.0)
    for a in range(m - 1):
        query = f[a] @ loss.query.weight.t()
        energy = torch.stack(
            [(query * (x @ loss.key.weight.t())).sum(1) for x in f[:-1]], 1
        )
        alpha = energy.softmax(1)
        target = sum(alpha[:, [b]] * z[b] for b in range(m - 1))
        expected = expected + kl(target, z[a], 3.0)
    # Nothing is cut off: the attention learns through the targets.
    assert_equal(loss(z, f), expected, [*z, *f, *loss.parameters()])
    value = loss(z, f)
    grads = torch.autograd.grad(value, [loss.query.weight, loss.key.weight])
    assert all(g.abs().sum() > 0 for g in grads)


@pytest.mark.parametrize('attend_self', [True, False])
def test_okddip_attention_alone_on_unrelated_features(attend_self):
    """It attends to itself and solves the first level, unless it must not."""
    torch.manual_seed(0)
    logits = [3 * torch.randn(32, CLASSES) for _ in range(4)]
    logits[-1] = sum(logits[:-1]) / 3  # the second level is 0
    features = [torch.randn(32, 32) for _ in range(4)]
    loss = OKDDipLoss(32, attend_self=attend_self)
    optimizer = torch.optim.Adam(loss.parameters(), 0.02)
    values = []
    for _ in range(150):
        values.append(loss(logits, features))
        optimizer.zero_grad()
        values[-1].backward()
        optimizer.step()
    left = (values[-1] / values[0]).item()
    assert left < 0.01 if attend_self else left > 0.3


def test_okddip_without_itself_needs_another():
    loss = OKDDipLoss(feature_dim=DIM, attend_self=False).double()
    loss(leaves(3), leaves(3, DIM)).backward()
    with pytest.raises(ValueError, match='got 2 peers .*num_peers >= 3'):
        loss(leaves(2), leaves(2, DIM))


def test_okddip_of_different_widths():
    with pytest.raises(ValueError, match=r'\(16, 16, 8\).*model.peers'):
        OKDDipLoss(feature_dim=(16, 16, 8))
