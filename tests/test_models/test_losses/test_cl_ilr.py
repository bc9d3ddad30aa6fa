"""Collaborative learning in closed form."""

from loss_inputs import assert_equal, kl, leaves

from mmdistill.models.losses import CLILRLoss


def test_cl_ilr():
    z = leaves(3)
    a, b, c = (x.detach() for x in z)
    expected = (
        kl((b + c) / 2, z[0], 2.0)
        + kl((a + c) / 2, z[1], 2.0)
        + kl((a + b) / 2, z[2], 2.0)
    )
    assert_equal(CLILRLoss(loss_weight=0.5)(z), 0.5 * expected, z)
