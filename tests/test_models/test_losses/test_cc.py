"""Correlation congruence by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from loss_inputs import maps

from mmdistill.models.losses import CCLoss


def embeddings(loss_module):
    """Inputs of other widths, and what the two linear maps make of them."""
    student, teacher = maps((6, 5), (6, 9))
    sides = dict(student=student, teacher=teacher)
    embedded = []
    for side, x in sides.items():
        linear = getattr(loss_module, f'embed_{side}')
        embedded.append(x @ linear.weight.t() + linear.bias)
    return student, teacher, *embedded


def test_cc_neighbour_by_hand():
    loss_module = CCLoss(5, 9, embed_dim=4).double()
    student, teacher, s, t = embeddings(loss_module)
    expected = 0.0
    for n in range(5):
        for j in range(4):
            expected += abs(s[n, j] - t[n, j]) * abs(s[n + 1, j] - t[n + 1, j])
    torch.testing.assert_close(loss_module(student, teacher), expected / 5)


@pytest.mark.parametrize('gamma, order', [(0.4, 2), (0.7, 3)])
def test_cc_kernel_by_hand(gamma, order):
    loss_module = CCLoss(
        5, 9, embed_dim=4, form='kernel', gamma=gamma, order=order
    ).double()
    student, teacher, s, t = embeddings(loss_module)

    def kernel(x, y):
        cosine = x @ y / (x.norm() * y.norm())
        terms = (
            (2 * gamma * cosine) ** p / math.factorial(p)
            for p in range(order + 1)
        )
        return math.exp(-2 * gamma) * sum(terms)

    expected = 0.0
    for i in range(6):
        for j in range(6):
            difference = kernel(s[i], s[j]) - kernel(t[i], t[j])
            expected += difference**2 / 36
    torch.testing.assert_close(loss_module(student, teacher), expected)


def test_cc_kernel_tends_to_the_gaussian():
    loss_module = CCLoss(5, 9, form='kernel', order=20).double()
    student, teacher, *embedded = embeddings(loss_module)
    kernels = []
    for x in map(F.normalize, embedded):
        kernels.append((-0.4 * torch.cdist(x, x).square()).exp())
    torch.testing.assert_close(
        loss_module(student, teacher), F.mse_loss(*kernels)
    )


@pytest.mark.parametrize('form', ['neighbour', 'kernel'])
def test_cc_trains_both_embeddings(form):
    loss_module = CCLoss(5, 9, embed_dim=4, form=form)
    loss_module(torch.randn(6, 5), torch.randn(6, 9)).backward()
    assert len(list(loss_module.parameters())) == 4
    assert all(p.grad.abs().sum() > 0 for p in loss_module.parameters())


def test_cc_needs_two_samples():
    with pytest.raises(ValueError, match='batch of 1.*drop_last'):
        CCLoss(5, 9)(torch.randn(1, 5), torch.randn(1, 9))
    assert CCLoss(5, 9)(torch.randn(2, 5), torch.randn(2, 9)).isfinite()


def test_cc_unknown_form():
    with pytest.raises(ValueError, match="'neighbour' and 'kernel'.*'rbf'"):
        CCLoss(5, 9, form='rbf')


@pytest.mark.parametrize('form', ['neighbour', 'kernel'])
@pytest.mark.parametrize('embed', ['student', 'both'])
def test_cc_alone_solves_only_the_reference_form(form, embed):
    """Its own parts, on fixed and unrelated features of both networks."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 128, 16)
    loss_module = CCLoss(16, 16, form=form, embed=embed)
    first = loss_module(student, teacher).item()
    optimizer = torch.optim.Adam(loss_module.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss = loss_module(student, teacher)
        loss.backward()
        optimizer.step()
    if embed == 'both':
        assert loss < 0.01 * first
    elif form == 'kernel':
        assert loss > 0.1 * first
    else:  # no smaller than the best linear guess leaves: no constant
        spread = torch.nn.functional.normalize(teacher).abs()
        assert loss > 0.3 * (spread[:-1] * spread[1:]).sum(1).mean()


def test_cc_knows_which_sides_are_embedded():
    with pytest.raises(ValueError, match="embed='both' and 'student'"):
        CCLoss(4, 4, embed='teacher')
