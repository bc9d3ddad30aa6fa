"""The flow of solution procedure by hand."""

import pytest
import torch
import torch.nn.functional as F
from loss_inputs import maps

from mmdistill.models.losses import FSPLoss


def test_fsp_by_hand():
    student = maps((4, 3, 4, 4), (4, 3, 4, 4), (4, 5, 2, 2))
    teacher = maps((4, 3, 4, 4), (4, 3, 4, 4), (4, 5, 2, 2))
    expected = 0
    for i in range(2):
        flows = []
        for side in (student, teacher):
            b, a = side[i], side[i + 1]
            if b.shape[2] > a.shape[2]:
                b = F.adaptive_avg_pool2d(b, a.shape[2:])
            product = a[:, :, None] * b[:, None]  # (N, C_a, C_b, H, W)
            flows.append(product.mean((3, 4)))
        expected += (flows[0] - flows[1]).pow(2).mean()
    loss = FSPLoss((3, 3, 5), (3, 3, 5))
    torch.testing.assert_close(loss(student, teacher), expected)


@pytest.mark.parametrize(
    'channels, message',
    [
        (((3, 4), (3, 5)), r'\(3, 4\) and the teacher \(3, 5\)'),
        (((3,), (3,)), 'two maps'),
    ],
)
def test_fsp_refuses(channels, message):
    with pytest.raises(ValueError, match=message):
        FSPLoss(*channels)
