"""Rows of length 1."""

import torch

from mmdistill.ops.normalize import l2_normalize


def test_rows_have_length_1_and_zeros_stay():
    x = torch.randn(4, 3, dtype=torch.float64)
    x[2] = 0
    found = l2_normalize(x)
    torch.testing.assert_close(
        found.norm(dim=1), torch.tensor([1, 1, 0, 1]).double()
    )
    torch.testing.assert_close(found * x.norm(dim=1, keepdim=True), x)


def test_large_half_rows():
    """Squares that half precision cannot hold."""
    x = torch.full((1, 4), 3e4, dtype=torch.float16)
    found = l2_normalize(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full((1, 4), 0.5))
