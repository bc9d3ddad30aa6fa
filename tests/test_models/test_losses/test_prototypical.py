"""The prototypical loss against its formula, one query at a time."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmdistill.models import PrototypicalLoss
from mmdistill.ops import class_mean_scores

WAY, SHOT, QUERY, DIM = 4, 3, 2, 6


def episode(way=WAY, shot=SHOT, query=QUERY, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    size = way * (shot + query)
    feature = torch.randn(size, DIM, generator=generator, dtype=dtype)
    classes = torch.randperm(50, generator=generator)[:way]
    label = torch.cat(
        [classes.repeat_interleave(shot), classes.repeat_interleave(query)]
    )
    return feature.requires_grad_(), label


def naive(feature, label, way=WAY, shot=SHOT):
    """Snell et al., eqs. 1 and 2, by the labels alone."""
    feature, label = feature.tolist(), label.tolist()
    support = list(zip(feature, label, strict=True))[: way * shot]
    queries = list(zip(feature, label, strict=True))[way * shot :]
    means = {}
    for name in set(label):
        own = [row for row, y in support if y == name]
        means[name] = [sum(column) / len(own) for column in zip(*own)]  # noqa: B905
    total = 0.0
    for row, name in queries:
        weight = {
            k: math.exp(-(math.dist(row, mean) ** 2))
            for k, mean in means.items()
        }
        total -= math.log(weight[name] / sum(weight.values()))
    return total / len(queries)


@pytest.mark.parametrize(
    'way, shot, query', [(4, 3, 2), (2, 1, 1), (5, 1, 4), (3, 5, 1)]
)
def test_formula(way, shot, query):
    feature, label = episode(way, shot, query)
    value = PrototypicalLoss(shot, query)(feature, label)
    assert value.shape == ()
    assert value.item() == pytest.approx(naive(feature, label, way, shot))


def test_closed_form():
    """Two classes at 0 and 2, every query at its own: log(1 + exp(-4))."""
    feature = torch.tensor([[0.0], [2.0], [0.0], [2.0]]).double()
    value = PrototypicalLoss(1, 1)(feature, torch.tensor([3, 8, 3, 8]))
    assert value.item() == pytest.approx(math.log1p(math.exp(-4)))
    half = PrototypicalLoss(1, 1, loss_weight=0.5)
    assert half(feature, torch.tensor([3, 8, 3, 8])) == 0.5 * value


def test_scores_are_distances():
    generator = torch.Generator().manual_seed(0)
    # far from the origin, where float32 has few digits left
    support = 300 + torch.rand(7, WAY, SHOT, DIM, generator=generator)
    query = 300 + torch.rand(7, 5, DIM, generator=generator)
    scores = class_mean_scores(support, query)
    exact = torch.cdist(query.double(), support.double().mean(dim=2))
    torch.testing.assert_close(
        scores.double(), -exact.square(), rtol=1e-4, atol=1e-5
    )


def test_gradient():
    feature, label = episode(3, 2, 2)
    loss = PrototypicalLoss(2, 2)
    assert torch.autograd.gradcheck(lambda x: loss(x, label), feature)


def test_bfloat16_autocast():
    feature, label = episode(dtype=torch.float32)
    half = feature.detach().bfloat16().requires_grad_()
    loss = PrototypicalLoss(SHOT, QUERY)
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(half, label)
    value.backward()
    assert value.dtype == torch.float32 and half.grad.isfinite().all()
    torch.testing.assert_close(value, loss(half.detach().float(), label))


class NoWaiting(TorchDispatchMode):
    """Refuses operations for which the host waits for the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket._qualified_op_name
        assert name not in ('aten::_local_scalar_dense', 'aten::nonzero')
        return function(*args, **(kwargs or {}))


def test_the_host_waits_at_the_first_batch_only():
    loss = PrototypicalLoss(SHOT, QUERY)
    loss(*episode())
    with NoWaiting():
        loss(*episode()).backward()


def shuffled():
    feature, label = episode()
    return feature, label.flip(0).roll(1)


def twice_the_same_class():
    feature, label = episode()
    label[label == label[0]] = label[-1]
    return feature, label


def queries_of_other_classes():
    feature, label = episode()
    label[WAY * SHOT :] = label[WAY * SHOT :].flip(0)
    return feature, label


def two_episodes():
    return (torch.cat([x, x]) for x in episode())


@pytest.mark.parametrize(
    'batch',
    [shuffled, twice_the_same_class, queries_of_other_classes, two_episodes],
)
def test_no_episode(batch):
    with pytest.raises(ValueError, match="labels .*'EpisodeSampler'.*query=2"):
        PrototypicalLoss(SHOT, QUERY)(*batch())


@pytest.mark.parametrize('size', [21, 5])
def test_another_size(size):
    feature, label = episode()
    feature, label = feature.repeat(2, 1)[:size], label.repeat(2)[:size]
    with pytest.raises(ValueError, match=f'got a batch of {size}.*way . 5'):
        PrototypicalLoss(SHOT, QUERY)(feature, label)


@pytest.mark.parametrize('kwargs', [dict(shot=0, query=1),
                                    dict(shot=1, query=0)])  # fmt: skip
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match='shot >= 1 and query >= 1'):
        PrototypicalLoss(**kwargs)
