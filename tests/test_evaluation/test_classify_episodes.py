"""Queries of episodes go to the nearest class mean."""

import math

import numpy as np
import pytest
import torch
from helpers import hits_one_by_one

from mmdistill.datasets import Episodes
from mmdistill.evaluation import classify_episodes, mean_and_interval


def problem(way=4, shot=2, query=3, episodes=23):
    """Features of seven classes, and episodes of them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(7, (120,), generator=generator)
    centres = torch.randn(7, 5, generator=generator)
    features = centres[labels] + torch.randn(120, 5, generator=generator)
    found = Episodes(labels, way, shot, query)
    drawn = torch.stack([found.draw(0, i) for i in range(episodes)])
    return features, labels, drawn


def hits(features, drawn, shot):
    """Queries of each episode that are given their own class."""
    classes = classify_episodes(features, drawn, shot)
    own = torch.arange(drawn.shape[1])[:, None]
    return (classes == own).sum(dim=(1, 2))


@pytest.mark.parametrize('shot', [1, 2])
def test_equals_one_query_at_a_time(shot):
    features, labels, drawn = problem(shot=shot)
    found = hits(features, drawn, shot)
    expected = [
        hits_one_by_one(features, labels, episode, shot) for episode in drawn
    ]
    assert found.tolist() == expected
    assert 3.6 < found.double().mean() < 11  # of 12, where 3 are chance


@pytest.mark.parametrize('chunk_size', [1, 7, 1000])
def test_chunks_do_not_matter(chunk_size):
    features, _, drawn = problem()
    whole = classify_episodes(features, drawn, 2)
    parts = classify_episodes(features, drawn, 2, chunk_size)
    assert torch.equal(whole, parts)
    assert classify_episodes(features, drawn[:0], 2).shape == (0, 4, 3)


def test_features_that_say_nothing_are_chance():
    features, _, drawn = problem()
    found = hits(torch.ones_like(features), drawn, 2)
    assert found.tolist() == [3] * len(drawn)  # of 12


def test_interval():
    """1.96 s / sqrt(n): of 0.2, 0.4, 0.9 by hand."""
    mean, half = mean_and_interval(torch.tensor([0.2, 0.4, 0.9]))
    assert mean == pytest.approx(0.5)
    variance = (0.3**2 + 0.1**2 + 0.4**2) / 2
    assert half == pytest.approx(1.96 * math.sqrt(variance / 3))


def test_interval_holds_the_mean_in_95_of_100_cases():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(4000, 50, generator=generator)
    found = [mean_and_interval(row) for row in values]
    held = np.mean([abs(mean - 0.5) <= half for mean, half in found])
    assert 0.93 < held < 0.96  # 1.96 is the normal's, not Student's
