"""Attention transfer by the authors' numbers."""

from helpers import relative_error

from mmdistill.models.losses import ATLoss


def test_at(golden):
    g = golden('at')
    student = [g[f'student_{i}'].requires_grad_() for i in range(3)]
    teacher = [g[f'teacher_{i}'] for i in range(3)]
    loss = ATLoss(power=2)(student, teacher)
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    for i, x in enumerate(student):
        error = relative_error(x.grad, g[f'grad_student_{i}'])
        assert error < golden.bound
