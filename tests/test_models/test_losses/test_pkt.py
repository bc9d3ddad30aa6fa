"""Probabilistic knowledge transfer by the authors and at its extreme."""

import torch
from helpers import relative_error

from mmdistill.models.losses import PKTLoss


def test_pkt_of_opposite_vectors():
    """Their similarity is 0, which rounding takes to either side."""
    x = torch.randn(40, 1, 300)
    x = torch.cat([x, -x], dim=1).requires_grad_()
    for pair in x:
        value = PKTLoss()(pair, torch.randn(2, 300))
        value.backward()
        assert value.isfinite()
    assert x.grad.isfinite().all()


def test_pkt(golden):
    g = golden('pkt')
    student = g['student_emb'].requires_grad_()
    loss = PKTLoss(eps=1e-7)(student, g['teacher_emb'])
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    assert relative_error(student.grad, g['grad_student_emb']) < golden.bound
