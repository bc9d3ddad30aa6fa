"""Predictions of another's embedding, by their angle."""

import torch
import torch.nn.functional as F

from mmdistill.models.losses import PredictionLoss
from mmdistill.models.losses.distill_loss import Shapes


def rows(count=2):
    return [torch.randn(5, 7, dtype=torch.float64) for _ in range(count)]


def test_closed_form_and_no_gradient_of_the_target():
    student, teacher = (x.requires_grad_() for x in rows())
    loss = PredictionLoss(loss_weight=4.0)(student, teacher)
    cosine = F.cosine_similarity(student, teacher)
    torch.testing.assert_close(loss, 4 * (2 - 2 * cosine).mean())
    loss.backward()
    assert student.grad.any() and teacher.grad is None


def test_views_are_compared_one_to_one():
    student, teacher = rows(3), rows(2)
    loss = PredictionLoss()
    expected = sum(loss(a, b) for a, b in zip(student, teacher, strict=False))
    torch.testing.assert_close(loss(student, teacher), expected)


def test_a_predictor_stands_on_the_students_side():
    settings = PredictionLoss.infer(Shapes(dim=7), Shapes(dim=7))
    loss = PredictionLoss(predictor=dict(type='PredictorHead'), **settings)
    loss = loss.double().eval()
    student, teacher = rows()
    torch.testing.assert_close(
        loss(student, teacher),
        PredictionLoss()(loss.predictor(student), teacher),
    )
