"""A classifier that features are to confuse."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdistill.models.heads import FeatureClassifier
from mmdistill.ops import reverse_gradient


@pytest.mark.parametrize('autocast', [False, True])
def test_reversed_gradient(autocast):
    x = torch.randn(4, 3, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        y = reverse_gradient(x * 1, alpha=0.5)
        assert torch.equal(y, x)
        y = F.linear(y, torch.eye(3))
    down = torch.randn(4, 3).bfloat16().to(y.dtype)
    y.backward(down)
    torch.testing.assert_close(x.grad, -0.5 * down.float())


def test_feature_classifier_learns_and_hides():
    classifier = FeatureClassifier(6, 8, alpha=2.0)
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    plain.load_state_dict(classifier.state_dict())
    label = torch.tensor([0, 1, 1, 0])
    x = torch.randn(4, 6)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for network, leaf in zip((classifier, plain), inputs, strict=True):
        F.cross_entropy(network(leaf), label).backward()
    torch.testing.assert_close(inputs[0].grad, -2 * inputs[1].grad)
    for ours, theirs in zip(
        classifier.parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad)
