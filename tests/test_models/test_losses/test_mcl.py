"""MCLLoss: golden numbers, both patterns, wrong input."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from helpers import relative_error

from mmdistill.models.losses import MCLLoss
from mmdistill.models.losses.noise_contrastive import noise_contrastive

GOLDEN = dict(feature_dim=128, embed_dim=16, num_samples=200,
              num_negatives=32, temperature=0.1)  # fmt: skip


def from_golden(g, peers, dtype) -> MCLLoss:
    loss = MCLLoss(num_peers=len(peers), **GOLDEN).to(dtype)
    with torch.no_grad():
        for i, peer in enumerate(peers):
            loss.embeds[i].weight.copy_(g[f'embed_{peer}_weight'])
            loss.embeds[i].bias.copy_(g[f'embed_{peer}_bias'])
            loss.banks[i].features.copy_(g[f'memory_{peer}_before'])
    return loss


def test_golden(golden):
    g = golden('mcl_okd')
    loss = from_golden(g, range(3), golden.dtype)
    for step in ('', 'step2_'):
        loss.zero_grad()
        features = [g[f'{step}student_{i}'].requires_grad_() for i in range(3)]
        before = [bank.features.clone() for bank in loss.banks]
        value = loss(
            features,
            g[f'{step}idx'],
            negatives=g[f'{step}contrast_idx'][:, 1:],
        )
        for bank, rows in zip(loss.banks, before, strict=True):
            assert torch.equal(bank.features, rows)  # until backward
        value.backward()
        assert relative_error(value, g[f'{step}loss']) < golden.bound
        for i in range(3):
            found = dict(
                grad_student=features[i].grad,
                memory=loss.banks[i].features,
                weight=loss.embeds[i].weight.grad,
                bias=loss.embeds[i].bias.grad,
            )
            wanted = dict(
                grad_student=g[f'{step}grad_student_{i}'],
                memory=g[f'{step}memory_{i}_after'],
                weight=g[f'{step}grad_embed_{i}_weight'],
                bias=g[f'{step}grad_embed_{i}_bias'],
            )
            for name, value in found.items():
                error = relative_error(value, wanted[name])
                assert error < golden.bound, (step, name, i)


def test_golden_terms(golden):
    """Of each pair of peers alone: two of the six terms."""
    g = golden('mcl_okd')
    for pair, peers in enumerate([(0, 1), (0, 2), (1, 2)]):
        loss = from_golden(g, peers, golden.dtype)
        value = loss(
            [g[f'student_{peer}'] for peer in peers],
            g['idx'],
            negatives=g['contrast_idx'][:, 1:],
        )
        expected = g['loss_terms'][2 * pair : 2 * pair + 2].sum()
        assert relative_error(value, expected) < golden.bound


def test_core_is_the_pairs_with_the_leader(golden):
    g = golden('mcl_okd')
    loss = from_golden(g, range(3), golden.dtype)
    loss.pattern = 'core'
    features = [g[f'student_{i}'] for i in range(3)]
    value = loss(features, g['idx'], negatives=g['contrast_idx'][:, 1:])
    expected = g['loss_terms'][2:].sum()  # (0, 2) and (1, 2)
    assert relative_error(value, expected) < golden.bound


def small(num_peers=3, **kwargs) -> MCLLoss:
    cfg = dict(feature_dim=6, embed_dim=4, num_negatives=5, num_samples=40)
    return MCLLoss(num_peers, **cfg | kwargs)


def inputs(num_peers=3, start=0, size=8):
    generator = torch.Generator().manual_seed(start)
    features = [
        torch.randn(size, 6, generator=generator).requires_grad_()
        for _ in range(num_peers)
    ]
    return features, torch.arange(start, start + size)


def by_hand(loss, features, index, negatives):
    """Equation 11 over the directions, gathering (N, K, E)."""
    views = [
        F.normalize(F.linear(x, e.weight, e.bias))
        for x, e in zip(features, loss.embeds, strict=True)
    ]
    samples = torch.cat([index[:, None], negatives], 1)
    total = 0
    for a, bank in enumerate(loss.banks):
        for b, view in enumerate(views):
            leader = len(views) - 1
            if a == b or (loss.pattern == 'core' and leader not in (a, b)):
                continue
            rows = bank.features[samples]
            p = ((rows * view[:, None]).sum(2) / loss.temperature).exp()
            own = loss.normalizer == 'sample'
            mean = p.mean(dim=1, keepdim=True) if own else p.mean()
            p = p / (mean * len(bank)).detach()
            total = total + noise_contrastive(p, len(bank), p.shape[1] - 1)
    return total


@pytest.mark.parametrize('scores', [1, 400, 2**26])
@pytest.mark.parametrize('pattern', ['full', 'core'])
@pytest.mark.parametrize('num_peers', [2, 4])
@pytest.mark.parametrize('normalizer', ['batch', 'sample'])
def test_by_hand(normalizer, num_peers, pattern, scores, monkeypatch):
    """However many scores are there at a time."""
    monkeypatch.setattr('mmdistill.models.losses.mcl.SCORES', scores)
    loss = small(
        num_peers, pattern=pattern, normalizer=normalizer, loss_weight=0.5
    ).double()
    features, index = inputs(num_peers)
    features = [x.detach().double().requires_grad_() for x in features]
    negatives = torch.randint(40, (8, 5))
    parameters = [*features, *loss.parameters()]
    expected = 0.5 * by_hand(loss, features, index, negatives)
    wanted = torch.autograd.grad(expected, parameters)
    value = loss(features, index, negatives=negatives)
    torch.testing.assert_close(value, expected)
    found = torch.autograd.grad(value, parameters)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize('normalizer', ['batch', 'sample'])
def test_gradients_are_the_numerical_ones(normalizer):
    """Of each bank's, taken by hand, with Z held where it is."""
    loss = small(normalizer=normalizer).double()
    features, index = inputs(size=3)
    features = [x.detach().double().requires_grad_() for x in features]
    negatives = torch.randint(40, (3, 5))
    seen = []
    mean = loss._mean
    loss._mean = lambda p: seen.append(mean(p)) or seen[-1]
    loss(features, index, negatives=negatives)
    fixed = itertools.cycle(seen)
    loss._mean = lambda p: next(fixed)
    assert torch.autograd.gradcheck(
        lambda *x: loss(x, index, negatives=negatives), features
    )


def test_z_is_the_batch_s_or_each_sample_s_own():
    """As in the authors' code, or as in equation 9."""
    features, index = inputs()
    negatives = torch.randint(40, (8, 5))

    def gradient(loss, size):
        some = [x[:size] for x in features]
        value = loss(some, index[:size], negatives=negatives[:size])
        return torch.autograd.grad(size * value, some)[0]

    loss = small().eval()
    batch, alone = gradient(loss, 8), gradient(loss, 1)
    assert relative_error(batch[0], alone[0]) > 0.01
    loss.normalizer = 'sample'
    own = gradient(loss, 8)
    torch.testing.assert_close(own[0], alone[0])
    assert relative_error(batch, own) > 0.01


def test_negatives_are_drawn_once_and_of_other_classes():
    loss = small()
    labels = torch.arange(40) % 4
    for bank in loss.banks:
        bank.resize_to(40, labels)
    drawn = []
    draw = loss.banks[0].draw_negatives
    loss.banks[0].draw_negatives = lambda *a: (
        drawn.append(draw(*a)) or drawn[0]
    )
    features, index = inputs()
    loss(features, index, labels[index]).backward()
    (negatives,) = drawn
    assert negatives.shape == (8, 5)
    assert (labels[negatives] != labels[index][:, None]).all()


def test_without_classes():
    loss = small(exclude_class=False)
    assert loss.requires == ('sample_idx',)
    features, index = inputs()
    loss(features, index).backward()
    assert all(x.grad.abs().sum() > 0 for x in features)


def test_peers_of_different_widths():
    loss = MCLLoss(2, (6, 9), embed_dim=4, num_samples=40, num_negatives=5)
    loss([torch.randn(8, 6), torch.randn(8, 9)], torch.arange(8)).backward()
    assert loss.embeds[1].weight.grad.shape == (4, 9)


def test_banks_rest_in_eval_mode():
    loss = small().eval()
    before = [bank.features.clone() for bank in loss.banks]
    features, index = inputs()
    loss(features, index).backward()
    for bank, rows in zip(loss.banks, before, strict=True):
        assert torch.equal(bank.features, rows)


def test_bfloat16_banks():
    exact, half = small(), small(bank_dtype='bfloat16')
    for one, other in zip(exact.banks, half.banks, strict=True):
        other.features.copy_(one.features)
    half.embeds.load_state_dict(exact.embeds.state_dict())
    features, index = inputs()
    negatives = torch.randint(40, (8, 5))
    values = [
        loss(features, index, negatives=negatives) for loss in (exact, half)
    ]
    values[1].backward()
    torch.testing.assert_close(*values, rtol=1e-2, atol=0)
    assert half.banks[0].features.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(pattern='star'), "pattern is one of .*got 'star'"),
        (dict(normalizer='row'), "normalizer is one of .*got 'row'"),
        (dict(num_peers=1), 'num_peers >= 2 .* got num_peers=1'),
        (dict(feature_dim=None), 'OnlineDistiller fills .*feature_dim=None'),
        (dict(feature_dim=(6, 6)), r'num_peers=3, feature_dim=\(6, 6\)'),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        small(**kwargs)


def test_wrong_input():
    features, index = inputs()
    with pytest.raises(ValueError, match='num_peers=3, got .* of 2'):
        small()(features[:2], index)
    with pytest.raises(ValueError, match='does not know the number'):
        small(num_samples=None)(features, index)
    with pytest.raises(ValueError, match='between 40 and 47.*0 to 39'):
        small()(features, index + 40)
