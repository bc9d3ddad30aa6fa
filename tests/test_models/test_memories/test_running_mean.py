"""A running mean against its closed form, over processes and resumes."""

import copy

import numpy as np
import pytest
import torch
from helpers import run_distributed

from mmdistill.models.memories import RunningMean


def rows(seed: int, number: int = 12, dim: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, dim, generator=generator)


def update(mean: RunningMean, x: torch.Tensor, **kwargs) -> None:
    mean.update(x.sum(dim=0), len(x), **kwargs)


@pytest.mark.parametrize('factor', [1.0, 5.0])
@pytest.mark.parametrize('initial', [0.0, 1.0])
def test_closed_form(initial, factor):
    """m^3 of the first value and (1 - m) m^(2 - t) of each batch's mean."""
    mean = RunningMean(5, momentum=0.9, initial=initial).double()
    batches = [rows(i, 3 + i).double() for i in range(3)]
    for batch in batches:
        update(mean, batch, factor=factor)
    expected = 0.9**3 * initial + sum(
        0.1 * 0.9 ** (2 - t) * factor * batch.mean(0)
        for t, batch in enumerate(batches)
    )
    torch.testing.assert_close(mean.value, expected)


def test_a_mean_of_equal_rows_stays():
    mean = RunningMean(5, momentum=0.3, initial=2.0)
    update(mean, torch.full((4, 5), 2.0))
    torch.testing.assert_close(mean.value, torch.full((5,), 2.0))


def test_it_is_no_part_of_the_graph():
    mean = RunningMean(5, momentum=0.9)
    update(mean, rows(0).requires_grad_())
    assert not mean.value.requires_grad
    assert not list(mean.parameters())


def test_the_first_rows_tell_an_unknown_width():
    mean = RunningMean(None, momentum=0.9, initial=1.0)
    assert mean.value.shape == (0,)
    assert torch.equal(mean.of(rows(0)), torch.ones(5))
    known = RunningMean(5, momentum=0.9, initial=1.0)
    for one in (mean, known):
        update(one, rows(1))
    assert torch.equal(mean.value, known.value)
    assert torch.equal(mean.of(rows(2)), known.value)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_half_rows_keep_it_in_float32(dtype):
    mean = RunningMean(5, momentum=0.9)
    update(mean, torch.full((4, 5), 2.0, dtype=dtype))
    assert mean.value.dtype == torch.float32
    torch.testing.assert_close(mean.value, torch.full((5,), 0.2))


@pytest.mark.parametrize('dim', [5, None])
def test_saved_and_resumed_equals_never_stopped(dim):
    whole = RunningMean(dim, momentum=0.9, initial=1.0)
    update(whole, rows(0))
    resumed = RunningMean(dim, momentum=0.9, initial=1.0)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for one in (whole, resumed):
        update(one, rows(1))
    assert resumed.value.shape == (5,)
    assert torch.equal(resumed.value, whole.value)


def test_another_width_is_refused():
    other = RunningMean(6, momentum=0.9)
    with pytest.raises(RuntimeError, match='size mismatch for value'):
        other.load_state_dict(RunningMean(5, momentum=0.9).state_dict())


def share(rank, world):
    """Processes hold 9, 1 and 2 of every 12 rows."""
    sizes = [12] if world == 1 else [9, 1, 2]
    mean = RunningMean(5, momentum=0.9, initial=1.0).double()
    for step in range(3):
        update(mean, rows(step).double().split(sizes)[rank], factor=5.0)
    return mean.value


def test_processes_equal_one():
    expected = share(0, 1).numpy()
    for value in run_distributed(share, 3):
        np.testing.assert_allclose(value, expected, rtol=1e-12)
