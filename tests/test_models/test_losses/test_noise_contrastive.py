"""Noise-contrastive estimation, term by term."""

import math

import torch

from mmdistill.models.losses.noise_contrastive import (
    Embedding,
    is_score,
    noise_contrastive,
    warn_of_few_negatives,
)
from mmdistill.models.memories import InstanceBank


def test_by_hand():
    probability = torch.rand(3, 5, dtype=torch.float64)
    n, k, eps = 40, 4, 1e-7
    expected = 0.0
    for row in probability.tolist():
        noise = k / n
        expected -= math.log(row[0] / (row[0] + noise + eps))
        for value in row[1:]:
            expected -= math.log(noise / (value + noise + eps))
    found = noise_contrastive(probability, n, k)
    assert math.isclose(found, expected / 3, rel_tol=1e-9)
    each = torch.full((3, 1), k)
    torch.testing.assert_close(noise_contrastive(probability, n, each), found)


def test_a_column_without_a_negative_counts_for_nothing():
    probability = torch.rand(3, 4, dtype=torch.float64)
    padded = torch.cat([probability, torch.zeros(3, 2).double()], dim=1)
    torch.testing.assert_close(
        noise_contrastive(padded, 40, 3),
        noise_contrastive(probability, 40, 3),
        rtol=1e-5,
        atol=0,
    )


def test_embeddings_have_length_1():
    found = Embedding(7, 4)(torch.randn(3, 7))
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))


def test_minus_infinity_is_no_score():
    scores = torch.tensor([0.0, -math.inf, -1e30])
    assert is_score(scores).tolist() == [True, False, True]


def test_few_negatives_are_said(warned):
    bank = InstanceBank(num_samples=6, dim=2)
    bank.resize_to(6, torch.tensor([0, 0, 0, 0, 1, 1]))
    warn_of_few_negatives('CRDLoss', bank, 2)
    assert not warned()
    warn_of_few_negatives('CRDLoss', bank, 3)
    assert 'CRDLoss.num_negatives=3, but some sample has only 2' in warned()
