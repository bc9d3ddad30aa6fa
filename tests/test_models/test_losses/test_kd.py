"""Knowledge distillation by the authors, and with targets of other kinds."""

import pytest
import torch
import torch.nn.functional as F
from helpers import relative_error

from mmdistill.models.losses import KDLoss
from mmdistill.ops import sinkhorn


def test_kd_with_sinkhorn_targets():
    """Table 8 of ProtoCPC: cross-entropy with Sinkhorn's assignment."""
    torch.manual_seed(0)
    student = torch.randn(6, 4).double().requires_grad_()
    teacher = torch.randn(6, 4).double()
    targets = sinkhorn(teacher, 4.0, 3)
    torch.testing.assert_close(targets.sum(1), torch.ones(6).double())
    value = KDLoss(assignment='sinkhorn')(student, teacher)
    value.backward()
    other = student.detach().clone().requires_grad_()
    cross = -(targets * F.log_softmax(other / 4, 1)).sum(1).mean()
    entropy = -(targets * targets.log()).sum(1).mean()
    (16 * cross).backward()
    torch.testing.assert_close(value, 16 * (cross - entropy))
    torch.testing.assert_close(student.grad, other.grad)


def test_kd_with_certain_targets():
    """A scaled assignment may round to 0; the loss stays finite."""
    student = torch.zeros(2, 2, requires_grad=True)
    teacher = torch.tensor([[900.0, -900.0], [-900.0, 900.0]])
    value = KDLoss(1.0, assignment='sinkhorn')(student, teacher)
    torch.testing.assert_close(value, torch.tensor(2.0).log())
    with pytest.raises(ValueError, match='sinkhorn'):
        KDLoss(assignment='argmax')


def test_kd(golden):
    g = golden('kd')
    student = g['student_logits'].requires_grad_()
    loss = KDLoss(temperature=4.0)(student, g['teacher_logits'])
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    assert relative_error(student.grad, g['grad_student_logits']) < (
        golden.bound
    )
