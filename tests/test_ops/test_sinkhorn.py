import pytest
import torch
from helpers import relative_error, run_distributed

from mmdistill.ops import sinkhorn


def test_golden(golden):
    g = golden('swav_sinkhorn')
    codes = sinkhorn(g['scores'], 0.05, 3)
    assert relative_error(codes, g['Q']) < golden.bound


def test_marginals():
    plan = sinkhorn(torch.randn(32, 6), 0.5, 200)
    torch.testing.assert_close(plan.sum(1), torch.ones(32))
    torch.testing.assert_close(plan.sum(0), torch.full((6,), 32 / 6))


@pytest.mark.parametrize('scale', [1e-3, 1.0, 1000.0])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_finite_for_any_scores(scale, dtype):
    scores = (torch.randn(16, 12) * scale).to(dtype)
    scores[:, 3] = -scale * 100  # a prototype nobody chooses
    before = scores.clone()
    plan = sinkhorn(scores, 0.05, 3)
    assert plan.dtype == torch.float32
    assert plan.isfinite().all()
    torch.testing.assert_close(plan.sum(1), torch.ones(16))
    assert torch.equal(scores, before)


def test_shift_changes_nothing():
    scores = torch.randn(8, 5, dtype=torch.float64)
    torch.testing.assert_close(
        sinkhorn(scores + 300, 0.1, 3), sinkhorn(scores, 0.1, 3)
    )


@pytest.mark.parametrize(
    'args', [(torch.zeros(3), 1.0, 3), (torch.zeros(3, 2), 0.0, 3),
             (torch.zeros(3, 2), 1.0, 0)])  # fmt: skip
def test_bad_input(args):
    with pytest.raises(ValueError, match='sinkhorn'):
        sinkhorn(*args)


def scores_with_a_lonely_prototype() -> torch.Tensor:
    scores = torch.randn(
        12, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    scores[:6, 2] = -1000.0  # the first process never chooses prototype 2
    return scores


def part(rank, world):
    rows = scores_with_a_lonely_prototype().chunk(world)[rank]
    return sinkhorn(rows, 0.05, 3)


def uneven_part(rank, world):
    rows = scores_with_a_lonely_prototype().split([9, 3])[rank]
    return sinkhorn(rows, 0.05, 3)


@pytest.mark.parametrize('world', [2, 4])
def test_processes_equal_one(world):
    parts = map(torch.from_numpy, run_distributed(part, world))
    expected = sinkhorn(scores_with_a_lonely_prototype(), 0.05, 3)
    torch.testing.assert_close(torch.cat(list(parts)), expected)


def test_uneven_processes_equal_one():
    parts = map(torch.from_numpy, run_distributed(uneven_part, 2))
    expected = sinkhorn(scores_with_a_lonely_prototype(), 0.05, 3)
    torch.testing.assert_close(torch.cat(list(parts)), expected)
