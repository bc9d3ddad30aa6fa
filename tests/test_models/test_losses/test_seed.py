"""SEED by hand."""

import pytest
import torch
import torch.nn.functional as F
from loss_inputs import rows, seed, unit

from mmdistill.models.losses import SEEDLoss


def seed_by_hand(student, teacher, queue, t_s=0.2, t_t=0.01):
    student, teacher = F.normalize(student), F.normalize(teacher)

    def scores(x):
        own = (x * teacher).sum(1, keepdim=True)
        return torch.cat([own, x @ queue.t()], dim=1)

    target = (scores(teacher) / t_t).softmax(1)
    return F.cross_entropy(scores(student) / t_s, target)


@pytest.mark.parametrize('size', [0, 1, 30])
@pytest.mark.parametrize('t_t', [0.01, 0.5])
def test_seed_by_hand(size, t_t):
    student, teacher, queue = rows(0).requires_grad_(), rows(1), unit(2, size)
    expected = seed_by_hand(student, teacher, queue, t_t=t_t)
    (grad,) = torch.autograd.grad(expected, student)
    value = seed(queue, teacher_temperature=t_t)(student, teacher)
    value.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(student.grad, grad)
    if size == 0:
        assert value == 0


PAIRS = dict(
    cross=[(0, 1), (0, 2), (1, 0), (1, 2)],
    all=[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
    same_and_local=[(0, 0), (0, 2), (1, 1), (1, 2)],
)


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('pairs', PAIRS)
def test_seed_views_are_the_sum_of_their_pairs(pairs, reduction):
    """The own key is the pair's teacher view."""
    student, teacher = [rows(i) for i in range(3)], [rows(5), rows(6)]
    queue = unit(9, 30)
    loss = seed(
        queue, teacher_temperature=0.5, pairs=pairs, reduction=reduction
    )
    expected = sum(
        seed_by_hand(student[s], teacher[t], queue, t_t=0.5)
        for t, s in PAIRS[pairs]
    )
    if reduction == 'mean':
        expected = expected / len(PAIRS[pairs])
    torch.testing.assert_close(loss(student, teacher), expected)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_seed_tells_near_keys_apart_under_autocast(dtype):
    """Similarities that differ by less than half precision has steps."""
    teacher = unit(1, 4, 64).float()
    noise = 0.01 * rows(3, 40, 64).float()
    queue = F.normalize(teacher.repeat(10, 1) + noise)
    gaps = (teacher @ queue.t()).topk(3, dim=1).values.diff().abs()
    assert gaps.max() < torch.finfo(dtype).eps
    student = rows(0, 4, 64).float()
    expected = seed_by_hand(
        student.double(), teacher.double(), queue.double(), 0.02, 1e-3
    )
    loss = seed(queue, student_temperature=0.02, teacher_temperature=1e-3)
    with torch.autocast('cpu', dtype):
        value = loss(student, teacher)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)


def test_seed_keeps_the_teachers_rows_of_all_views():
    views = [rows(0).half(), rows(1).half()]
    loss = SEEDLoss(7, 40)
    loss([rows(2).float().requires_grad_()] * 4, views).backward()
    expected = torch.cat([F.normalize(view.float()) for view in views])
    assert torch.equal(loss.queue.ordered(), expected)
    loss = SEEDLoss(7, 40).double()
    loss(rows(2).requires_grad_(), rows(0)).backward()
    assert torch.equal(loss.queue.ordered(), F.normalize(rows(0)))
