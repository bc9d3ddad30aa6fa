"""Numbers that are known without a program."""

import numpy as np
import pytest
import torch

from mmdistill.report.comparisons import (
    class_correlation,
    confusion,
    divergence,
    flat_map,
    largest_pairs,
)


def test_confusion():
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    chosen = torch.tensor([0, 0, 0, 1, 1, 0])
    found = confusion(labels, chosen, 3)
    expected = [[75, 25, 0], [50, 50, 0], [0, 0, 0]]
    np.testing.assert_allclose(found, expected)


def test_largest_pairs_are_off_the_diagonal():
    matrix = np.array([[9.0, -3.0, 0.0], [1.0, 9.0, 2.0], [0.0, 0.0, 9.0]])
    assert largest_pairs(matrix) == [(0, 1, -3.0), (1, 2, 2.0), (1, 0, 1.0)]
    assert largest_pairs(matrix, 1) == [(0, 1, -3.0)]
    assert largest_pairs(np.eye(1)) == []


def test_divergence_is_0_for_equal_and_1_for_disjoint():
    p = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    q = torch.tensor([[0.3, 0.7], [0.0, 1.0]])
    torch.testing.assert_close(divergence(p, q), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(divergence(p, q), divergence(q, p))


def test_class_correlation():
    x = torch.randn(50, 1)
    logits = torch.cat([x, 2 * x + 3, -x, torch.ones(50, 1)], dim=1)
    expected = np.zeros((4, 4))
    expected[:3, :3] = np.outer([1, 1, -1], [1, 1, -1])
    found = class_correlation(logits)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize('shape', [(40, 12), (5, 1)])
def test_groups_stay_together_and_calls_agree(shape):
    torch.manual_seed(0)
    feature = torch.randn(*shape)
    feature[::2] += 20
    found = flat_map(feature)
    assert found.shape == (len(feature), 2)
    np.testing.assert_array_equal(found, flat_map(feature))
    if len(feature) == 40:
        apart = np.linalg.norm(found[::2].mean(0) - found[1::2].mean(0))
        assert apart > found[::2].std() and apart > found[1::2].std()


@pytest.mark.parametrize(
    ('feature', 'why'),
    [
        (torch.ones(40, 8), 'all images have the same feature'),
        (torch.ones(3, 8), 'needs 4 images, there are 3'),
        (torch.full((9, 8), torch.nan), 'NaN'),
    ],
)
def test_features_of_which_there_is_no_map(feature, why):
    with pytest.raises(ValueError, match=why):
        flat_map(feature)


def test_many_equal_points_crash_nothing():
    feature = torch.zeros(60, 8)
    feature[:3] = torch.randn(3, 8)
    assert np.isfinite(flat_map(feature)).all()
