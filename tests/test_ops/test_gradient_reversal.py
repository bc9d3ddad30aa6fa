"""The identity, whose gradient is turned around."""

import pytest
import torch

from mmdistill.ops.gradient_reversal import reverse_gradient


@pytest.mark.parametrize('alpha', [1.0, 0.25])
def test_gradient_is_turned_around_and_scaled(alpha):
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    y = reverse_gradient(x, alpha)
    assert torch.equal(y, x)
    (expected,) = torch.autograd.grad(x.square().sum(), x)
    (found,) = torch.autograd.grad(y.square().sum(), x)
    torch.testing.assert_close(found, -alpha * expected)
