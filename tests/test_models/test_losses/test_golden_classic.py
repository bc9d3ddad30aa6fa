"""Hint, SP, VID and PKT against the authors' numbers (tests/golden)."""

import torch
from helpers import relative_error

from mmdistill.models.losses import HintLoss, PKTLoss, SPLoss, VIDLoss


def check_maps(loss_module, g, bound):
    """Value and gradient of a loss of one pair of maps."""
    student = g['student_0'].requires_grad_()
    loss = loss_module([student], [g['teacher_0']])
    loss.backward()
    assert relative_error(loss, g['loss']) < bound
    assert relative_error(student.grad, g['grad_student_0']) < bound


def test_hint(golden):
    loss_module = HintLoss(8, 8, regressor=False)
    assert not list(loss_module.parameters())
    check_maps(loss_module, golden('hint'), golden.bound)


def test_sp(golden):
    check_maps(SPLoss(), golden('sp'), golden.bound)


def test_pkt(golden):
    g = golden('pkt')
    student = g['student_emb'].requires_grad_()
    loss = PKTLoss(eps=1e-7)(student, g['teacher_emb'])
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    assert relative_error(student.grad, g['grad_student_emb']) < golden.bound


def test_vid(golden):
    g = golden('vid')
    loss_module = VIDLoss(8, 12, init_variance=5.0, eps=1e-5)
    loss_module.to(golden.dtype)
    first, _, second, _, third = loss_module.regressors[0]
    parameters = dict(
        w0=first.weight,
        w1=second.weight,
        w2=third.weight,
        log_scale=loss_module.log_scales[0],
    )
    assert len(parameters) == len(list(loss_module.parameters()))
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(g[f'param_{name}'])
    check_maps(loss_module, g, golden.bound)
    for name, parameter in parameters.items():
        error = relative_error(parameter.grad, g[f'grad_param_{name}'])
        assert error < golden.bound
