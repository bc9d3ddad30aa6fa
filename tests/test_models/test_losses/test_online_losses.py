"""The targets among peers, against their formulas written out."""

import pytest
import torch
import torch.nn.functional as F

from mmdistill.models.losses import (
    CLILRLoss,
    DMLLoss,
    EnsembleKDLoss,
    OKDDipLoss,
    ONELoss,
)

N, CLASSES, DIM, SHARED = 6, 5, 16, 7


def leaves(num_peers, width=CLASSES):
    return [
        torch.randn(N, width, dtype=torch.float64).requires_grad_()
        for _ in range(num_peers)
    ]


def kl(target, learner, temperature):
    """T^2 / N sum_n sum_c p log(p / q) of two batches of logits."""
    p = (target / temperature).softmax(1)
    q = (learner / temperature).softmax(1)
    return temperature**2 * (p * (p / q).log()).sum() / len(p)


def assert_equal(value, expected, inputs):
    """Values and gradients; an input without a gradient counts as zero."""
    torch.testing.assert_close(value, expected)
    found, wanted = (
        torch.autograd.grad(v, inputs, allow_unused=True)
        for v in (value, expected)
    )
    for x, one, other in zip(inputs, found, wanted, strict=True):
        zero = torch.zeros_like(x)
        torch.testing.assert_close(
            zero if one is None else one, zero if other is None else other
        )


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


@pytest.mark.parametrize('m', [2, 3])
def test_dml(m):
    z = leaves(m)
    expected = sum(
        kl(z[teacher].detach(), z[learner], 2.0) / (m - 1)
        for learner in range(m)
        for teacher in range(m)
        if teacher != learner
    )
    assert_equal(DMLLoss(2.0)(z), expected, z)


def test_cl_ilr():
    z = leaves(3)
    a, b, c = (x.detach() for x in z)
    expected = (
        kl((b + c) / 2, z[0], 2.0)
        + kl((a + c) / 2, z[1], 2.0)
        + kl((a + b) / 2, z[2], 2.0)
    )
    assert_equal(CLILRLoss(loss_weight=0.5)(z), 0.5 * expected, z)


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
