"""Deep mutual learning in closed form."""

import pytest
from loss_inputs import assert_equal, kl, leaves

from mmdistill.models.losses import DMLLoss


@pytest.mark.parametrize('m', [2, 3])
def test_dml(m):
    z = leaves(m)
    expected = sum(
        kl(z[teacher].detach(), z[learner], 2.0) / (m - 1)
        for learner in range(m)
        for teacher in range(m)
        if teacher != learner
    )
    assert_equal(DMLLoss(2.0)(z), expected, z)
