"""DINO by hand and by its authors."""

import numpy as np
import pytest
import torch
from helpers import relative_error, run_distributed
from loss_inputs import scores

from mmdistill.models.losses import DINOLoss, SwappedPredictionLoss


def test_dino_golden(golden):
    g = golden('dino')
    loss_module = DINOLoss(num_prototypes=32).to(golden.dtype)
    loss_module.center.value.copy_(g['center_before'].flatten())
    for call in ('', 'call2_'):  # the centre goes on from the first call
        student = g[f'{call}student_out'].clone().requires_grad_()
        teacher = g[f'{call}teacher_out']
        loss = loss_module(student.chunk(6), teacher.chunk(2))
        loss.backward()
        expected = {
            name: g[f'{call}{name}']
            for name in ('loss', 'grad_student_out', 'center_after')
        }
        assert relative_error(loss, expected['loss']) < golden.bound
        error = relative_error(student.grad, expected['grad_student_out'])
        assert error < golden.bound
        error = relative_error(
            loss_module.center.value, expected['center_after'].flatten()
        )
        assert error < golden.bound


def dino_by_hand(student, teacher, center):
    target = ((teacher - center) / 0.04).softmax(1)
    return -(target * (student / 0.1).log_softmax(1)).sum(1).mean()


PAIRS = dict(
    cross=[(0, 1), (0, 2), (1, 0), (1, 2)],
    all=[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
    same_and_local=[(0, 0), (0, 2), (1, 1), (1, 2)],
)


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('pairs', PAIRS)
def test_dino_views_are_the_sum_of_their_pairs(pairs, reduction):
    """Two global views and a local one, with a centre that is not 0."""
    student, teacher = [scores(i) for i in range(3)], [scores(5), scores(6)]
    loss = DINOLoss(6, pairs=pairs, reduction=reduction).double()
    (center,) = scores(7, rows=1)
    loss.center.value.copy_(center)
    value = loss(student, teacher)
    expected = sum(
        dino_by_hand(student[s], teacher[t], center) for t, s in PAIRS[pairs]
    )
    if reduction == 'mean':
        expected = expected / len(PAIRS[pairs])
    torch.testing.assert_close(value, expected)
    mean = torch.cat(teacher).mean(0)
    torch.testing.assert_close(loss.center.value, 0.9 * center + 0.1 * mean)


def test_two_tensors_are_one_pair():
    """As an offline distiller gives them, whatever pairs says."""
    loss = DINOLoss(6).double()
    expected = dino_by_hand(scores(0), scores(1), 0)
    torch.testing.assert_close(loss(scores(0), scores(1)), expected)


def test_center_rests_in_eval():
    loss = DINOLoss(6).double().eval()
    loss(scores(0), scores(1))
    assert not loss.center.value.any()


@pytest.mark.parametrize('num_prototypes', [6, None])
def test_dino_saved_and_resumed_equals_never_stopped(num_prototypes):
    loss = DINOLoss(num_prototypes)
    steps = [(scores(i).float(), scores(i + 9).float()) for i in range(4)]
    for step in steps[:2]:
        loss(*step)
    resumed = DINOLoss(num_prototypes)
    resumed.load_state_dict(loss.state_dict())
    for step in steps[2:]:
        assert torch.equal(resumed(*step), loss(*step))
    assert loss.center.value.shape == (6,)
    assert torch.equal(resumed.center.value, loss.center.value)


@pytest.mark.parametrize('kind', [DINOLoss, SwappedPredictionLoss])
def test_gradients(kind):
    loss = kind().double().eval()
    views = [scores(i, 3).requires_grad_() for i in range(3)]
    teacher = [scores(i + 9, 3) for i in range(2)]
    assert torch.autograd.gradcheck(
        lambda *student: loss(student, teacher), views
    )


@pytest.mark.parametrize('kind', [DINOLoss, SwappedPredictionLoss])
def test_the_teacher_gets_no_gradient(kind):
    student, teacher = ([scores(i).requires_grad_()] * 2 for i in range(2))
    kind().double()(student, teacher).backward()
    assert student[0].grad.any() and teacher[0].grad is None


@pytest.mark.parametrize('kind', [DINOLoss, SwappedPredictionLoss])
def test_bad_views(kind):
    with pytest.raises(ValueError, match='1 teacher view.*no pair'):
        kind()([scores(0)], [scores(1)])
    with pytest.raises(ValueError, match="'cross'.*'mean'.*'some'"):
        kind(pairs='some')([scores(0)] * 2, [scores(1)] * 2)


def dino_steps(rank, world):
    """Two steps of two views; the first process holds 9 of 12 samples."""
    share = [slice(12)] if world == 1 else [slice(9), slice(9, 12)]
    loss = DINOLoss().double()
    values = []
    for step in range(2):
        views = [scores(10 * step + i)[share[rank]] for i in range(4)]
        values.append(loss(views[:2], views[2:]))
    return loss.center.value, torch.stack(values)


def codes_of_a_share(rank, world):
    """7 and 5 samples of the batch, 4 and 16 of the queue."""
    rows, queued = ([12], [20]) if world == 1 else ([7, 5], [4, 16])
    batch = scores(0).split(rows)[rank]
    queue = scores(1, 20).split(queued)[rank]
    return SwappedPredictionLoss().codes(batch, queue)


def both(rank, world):
    return dino_steps(rank, world), codes_of_a_share(rank, world)


def test_processes_equal_one():
    (center, values), codes = both(0, 1)
    dino, parts = zip(*run_distributed(both, 2), strict=True)
    for other, _ in dino:
        np.testing.assert_allclose(other, center.numpy(), rtol=1e-12)
    mean = 9 / 12 * dino[0][1] + 3 / 12 * dino[1][1]
    np.testing.assert_allclose(mean, values.numpy(), rtol=1e-12)
    np.testing.assert_allclose(
        np.concatenate(parts), codes.numpy(), rtol=1e-10
    )
