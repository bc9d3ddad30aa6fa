"""Relational distillation by the authors' numbers."""

from helpers import relative_error

from mmdistill.models.losses import RKDLoss


def test_rkd(golden):
    g = golden('rkd')
    student = g['student_emb'].requires_grad_()
    loss = RKDLoss(distance_weight=25, angle_weight=50)(
        student, g['teacher_emb']
    )
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    assert relative_error(student.grad, g['grad_student_emb']) < golden.bound


def test_rkd_parts(golden):
    g = golden('rkd')
    for part, weights in dict(distance=(1, 0), angle=(0, 1)).items():
        loss = RKDLoss(*weights)(g['student_emb'], g['teacher_emb'])
        assert relative_error(loss, g[f'loss_{part}']) < golden.bound
