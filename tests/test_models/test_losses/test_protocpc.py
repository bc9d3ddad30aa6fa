"""ProtoCPC's prior over processes, and its pairs of views."""

import numpy as np
import pytest
import torch
from helpers import relative_error, run_distributed

from mmdistill.models.losses import ProtoCPCLoss


def rows(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(12, 6, dtype=torch.float64, generator=generator)


def two_steps(rank, world):
    loss = ProtoCPCLoss(num_prototypes=6).double()
    values = []
    for step in range(2):
        student, teacher = rows(step), rows(10 + step)
        share = slice(12 * rank // world, 12 * (rank + 1) // world)
        values.append(loss(student[share], teacher[share]))
    return loss.prior.value, torch.stack(values)


def test_processes_equal_one():
    prior, values = two_steps(0, 1)
    results = run_distributed(two_steps, 2)
    for other, _ in results:
        np.testing.assert_allclose(other, prior.numpy(), rtol=1e-12)
    mean = (results[0][1] + results[1][1]) / 2
    np.testing.assert_allclose(mean, values.numpy(), rtol=1e-12)


def test_prior_sums_to_k_and_rests_in_eval():
    loss = ProtoCPCLoss(num_prototypes=6).double()
    assert torch.equal(loss.prior.value, torch.ones(6, dtype=torch.float64))
    loss(rows(0), rows(1))
    torch.testing.assert_close(
        loss.prior.value.sum(), torch.tensor(6.0).double()
    )
    prior = loss.eval().prior.value.clone()
    loss(rows(0), rows(1))
    assert torch.equal(loss.prior.value, prior)


PAIRS = dict(
    cross=[(0, 1), (0, 2), (1, 0), (1, 2)],
    all=[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
    same_and_local=[(0, 0), (0, 2), (1, 1), (1, 2)],
)


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('pairs', PAIRS)
def test_views_are_the_sum_of_their_pairs(pairs, reduction):
    """Two global views and a local one; the prior of both teacher views."""
    student, teacher = [rows(i) for i in range(3)], [rows(5), rows(6)]
    loss = ProtoCPCLoss(6, pairs=pairs, reduction=reduction).double()
    value = loss(student, teacher)
    single = ProtoCPCLoss(6).double().eval()
    single.prior = loss.prior
    mean = sum(single.assign(t).mean(0) for t in teacher) / 2
    torch.testing.assert_close(loss.prior.value, 0.9 + 0.1 * 6 * mean)
    expected = sum(single(student[s], teacher[t]) for t, s in PAIRS[pairs])
    if reduction == 'mean':
        expected = expected / len(PAIRS[pairs])
    torch.testing.assert_close(value, expected)


def test_bad_input():
    loss = ProtoCPCLoss(6).double()
    with pytest.raises(ValueError, match='1 teacher view.*no pair'):
        loss([rows(0)], [rows(1)])
    with pytest.raises(ValueError, match='assignment'):
        ProtoCPCLoss(6, assignment='greedy')
    with pytest.raises(ValueError, match='pairs'):
        ProtoCPCLoss(6, pairs='some').double()([rows(0)] * 2, [rows(1)] * 2)


@pytest.mark.parametrize('assignment', ['sinkhorn', 'softmax'])
def test_protocpc(golden, assignment):
    g = golden('protocpc')
    prefix = 'softmax_' if assignment == 'softmax' else ''
    loss_module = ProtoCPCLoss(
        num_prototypes=10,
        student_temperature=0.1,
        teacher_temperature=0.04,
        prior_momentum=0.9,
        assignment=assignment,
    ).to(golden.dtype)
    for call in ('', 'call2_'):  # the prior goes on from the first call
        student = g[f'{call}student_zs'].clone().requires_grad_()
        teacher = g[f'{call}teacher_zt']
        target = loss_module.assign(teacher)
        loss = loss_module(student, teacher)
        loss.backward()
        expected = {
            name: g[f'{prefix}{call}{name}']
            for name in ('p_t', 'loss', 'grad_student_zs', 'prior_after')
        }
        assert relative_error(target, expected['p_t']) < golden.bound
        assert relative_error(loss, expected['loss']) < golden.bound
        error = relative_error(student.grad, expected['grad_student_zs'])
        assert error < golden.bound
        error = relative_error(
            loss_module.prior.value, expected['prior_after']
        )
        assert error < golden.bound


def test_protocpc_temperature_scale(golden):
    g = golden('protocpc')
    plain, scaled = (
        ProtoCPCLoss(10, 4.0, 4.0, scale_by_temperature=scale).to(golden.dtype)
        for scale in (False, True)
    )
    args = g['student_zs'], g['teacher_zt']
    torch.testing.assert_close(scaled(*args), 16 * plain(*args))
