"""Maps of two sizes become maps of the smaller."""

import torch
import torch.nn.functional as F

from mmdistill.models.losses.maps import match_sizes


def test_each_side_is_pooled_where_it_is_larger():
    a, b = torch.randn(2, 3, 8, 2), torch.randn(2, 5, 4, 6)
    one, other = match_sizes(a, b)
    assert one.shape == (2, 3, 4, 2) and other.shape == (2, 5, 4, 2)
    torch.testing.assert_close(one, F.avg_pool2d(a, (2, 1)))
    torch.testing.assert_close(other, F.avg_pool2d(b, (1, 3)))


def test_equal_sizes_are_left_alone():
    a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    one, other = match_sizes(a, b)
    assert one is a and other is b
