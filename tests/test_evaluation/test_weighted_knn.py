"""k-NN as a function."""

import math
from collections import defaultdict

import pytest
import torch

from mmdistill.evaluation import weighted_knn

KS = (10, 1, 7)  # in no order


def problem(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(33, 6, generator=generator, dtype=dtype)
    bank = torch.randn(101, 6, generator=generator, dtype=dtype)
    labels = torch.randint(8, (101,), generator=generator)
    return 5 * queries, 0.1 * bank, labels  # lengths do not matter


def naive(queries, bank, labels, k, temperature):
    """Wu et al.'s vote, one query and one neighbour at a time."""
    ranked = []
    for query in queries:
        near = sorted(
            (-float(query @ row / query.norm() / row.norm()), int(label))
            for row, label in zip(bank, labels, strict=True)
        )[:k]
        votes = defaultdict(float)
        for minus_cosine, label in near:
            votes[label] += math.exp(-minus_cosine / temperature)
        order = sorted(range(8), key=lambda c: (-votes[c], c))
        ranked.append(order[:5])
    return torch.tensor(ranked)


@pytest.mark.parametrize('temperature', [0.07, 1.0])
def test_equals_one_neighbour_at_a_time(temperature):
    queries, bank, labels = problem()
    ranked = weighted_knn(queries, bank, labels, 8, KS, temperature)
    assert set(ranked) == set(KS)
    for k in KS:
        expected = naive(queries, bank, labels, k, temperature)
        assert torch.equal(ranked[k], expected)


@pytest.mark.parametrize('chunk_size', [1, 7, 33, 1000])
def test_chunks_do_not_matter(chunk_size):
    whole = weighted_knn(*problem(), 8, KS)
    parts = weighted_knn(*problem(), 8, KS, chunk_size=chunk_size)
    assert all(torch.equal(whole[k], parts[k]) for k in KS)


def test_nearness_counts_and_not_numbers_alone():
    angles = torch.tensor([0.05, 1.0, 1.1])
    bank = torch.stack([angles.cos(), angles.sin()], dim=1)
    query, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([4, 2, 2])
    first = [
        weighted_knn(query, bank, labels, 5, (3,), temperature)[3][0, 0]
        for temperature in (0.07, 10.0)
    ]
    assert first == [4, 2]


def test_ties_go_to_the_lower_class():
    bank = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    ranked = weighted_knn(bank[:2], bank, torch.tensor([3, 1, 3, 1]), 5, (4,))
    assert ranked[4].tolist() == [[1, 3, 0, 2, 4]] * 2


def test_small_temperatures_and_half_precision():
    queries, bank, labels = problem(torch.float32)
    ranked = weighted_knn(queries, bank, labels, 8, (1, 50), 1e-3)
    expected = weighted_knn(queries, bank, labels, 8, (1,))[1]
    # at such a temperature the nearest neighbour decides alone
    assert torch.equal(ranked[50][:, 0], expected[:, 0])
    with torch.autocast('cpu', torch.bfloat16):
        inside = weighted_knn(queries, bank, labels, 8, (10,))[10]
    outside = weighted_knn(queries, bank, labels, 8, (10,))[10]
    assert torch.equal(inside, outside)


def test_fewer_classes_than_asked_for_and_no_queries():
    queries, bank, labels = problem()
    ranked = weighted_knn(queries[:0], bank, labels % 3, 3, (2, 4))
    assert [tuple(r.shape) for r in ranked.values()] == [(0, 3), (0, 3)]


@pytest.mark.parametrize(
    'change, message',
    [(dict(k=(10, 102)), r'k=\(10, 102\).* 101; change k or bank'),
     (dict(k=(0,)), 'from 1 to'), (dict(k=()), 'at least one k'),
     (dict(num_classes=7), 'between 0 and 7, but num_classes=7')])  # fmt: skip
def test_bad_input(change, message):
    queries, bank, labels = problem()
    kwargs = dict(num_classes=8, k=KS) | change
    with pytest.raises(ValueError, match=message):
        weighted_knn(queries, bank, labels, **kwargs)
