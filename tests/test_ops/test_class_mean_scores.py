"""Distances of queries to class means."""

import torch

from mmdistill.ops.class_mean_scores import class_mean_scores


def test_by_hand_for_every_episode():
    support = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    query = torch.randn(2, 6, 5, dtype=torch.float64)
    found = class_mean_scores(support, query)
    mean = support.mean(dim=2)
    expected = -(query[:, :, None] - mean[:, None]).square().sum(-1)
    torch.testing.assert_close(found.softmax(-1), expected.softmax(-1))
    torch.testing.assert_close(found, expected)


def test_a_far_origin_costs_no_digits():
    support, query = torch.randn(3, 4, 5), torch.randn(6, 5)
    near = class_mean_scores(support, query)
    far = class_mean_scores(support + 1024, query + 1024)
    torch.testing.assert_close(far, near, rtol=1e-3, atol=1e-2)
