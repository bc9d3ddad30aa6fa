"""Rows and numbers of all processes."""

import numpy as np
import torch
from helpers import run_distributed

from mmdistill.ops.distributed import (
    all_reduce_mean,
    all_reduce_sum,
    concat_all_gather,
    rank,
    world_size,
)


def exchanged(own: int, world: int) -> dict:
    assert (rank(), world_size()) == (own, world)
    x = torch.full((2,), own + 1.0, requires_grad=True)
    rows = torch.arange(6.0)[3 * own : 3 * own + 1 + 2 * own, None]
    found = dict(
        sum=all_reduce_sum(x),
        mean=all_reduce_mean(x),
        rows=concat_all_gather(rows),
    )
    assert not any(value.requires_grad for value in found.values())
    assert x.tolist() == [own + 1.0] * 2  # stays as it is
    return found


def test_two_processes():
    for found in run_distributed(exchanged, 2):
        np.testing.assert_array_equal(found['sum'], [3, 3])
        np.testing.assert_array_equal(found['mean'], [1.5, 1.5])
        np.testing.assert_array_equal(found['rows'][:, 0], [0, 3, 4, 5])


def test_one_process():
    x = torch.ones(2, 3, requires_grad=True)
    assert (rank(), world_size()) == (0, 1)
    assert all_reduce_sum(x) is x and all_reduce_mean(x) is x
    rows = concat_all_gather(x)
    assert torch.equal(rows, x) and not rows.requires_grad
