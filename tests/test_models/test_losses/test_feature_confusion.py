"""A loss whose classifier tells the student from the teacher."""

import torch
import torch.nn.functional as F

from mmdistill.models.losses import FeatureConfusionLoss

CLASSIFIER = dict(type='FeatureClassifier')


def test_sum_of_both_sides_and_of_views():
    loss = FeatureConfusionLoss(CLASSIFIER, dim=6, loss_weight=0.5)
    student, teacher = ([torch.randn(4, 6) for _ in range(2)] for _ in '12')
    expected = 0
    for label, views in ((0, teacher), (1, student)):
        for view in views:
            scores = loss.classifier(F.normalize(view))
            target = torch.full((4,), label)
            expected = expected + 0.5 * F.cross_entropy(scores, target)
    torch.testing.assert_close(loss(student, teacher), expected)
    one = loss(student[0], teacher[0]) + loss(student[1], teacher[1])
    torch.testing.assert_close(one, expected)


def test_the_student_climbs_where_the_classifier_descends():
    """A small step of either changes the loss in opposite directions."""
    loss = FeatureConfusionLoss(CLASSIFIER, dim=6).double()
    student = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(8, 6, dtype=torch.float64)
    before = loss(student, teacher)
    before.backward()
    with torch.no_grad():
        moved = student - 1e-3 * student.grad
        assert loss(moved, teacher) > before
        for parameter in loss.parameters():
            parameter -= 1e-3 * parameter.grad
        assert loss(student, teacher) < before
