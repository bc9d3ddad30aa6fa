"""Means over labeled rows, of one process and of several."""

import numpy as np
import pytest
import torch
from helpers import run_distributed
from torch.nn.parallel import DistributedDataParallel

from mmdistill.ops import labeled_count, labeled_mean

#: The first process of two has one labeled row of six, the second four; of
#: three processes the first has none at all.
LABEL = torch.tensor([-1, -1, -1, -1, 7, -1, 0, 3, -1, 3, 1, -1])
NONE = torch.full((12,), -1)


def test_mean_of_the_labeled_rows():
    values = torch.randn(12, dtype=torch.float64)
    known = LABEL >= 0
    value = labeled_mean(values, LABEL)
    torch.testing.assert_close(value, values[known].mean())
    assert labeled_count(LABEL) == known.sum() == 5


def test_without_any_label_it_is_zero():
    values = torch.randn(12, requires_grad=True)
    value = labeled_mean(values, NONE)
    value.backward()
    assert value == 0 and not values.grad.any()
    assert labeled_count(NONE) == 1


@pytest.mark.parametrize('bad', [torch.nan, torch.inf, -torch.inf])
def test_what_unlabeled_rows_have_does_not_count(bad):
    values = torch.randn(12, dtype=torch.float64)
    expected = values[LABEL >= 0].mean()
    values[LABEL < 0] = bad
    values.requires_grad_()
    value = labeled_mean(values, LABEL)
    value.backward()
    torch.testing.assert_close(value, expected)
    wanted = (LABEL >= 0).double() / 5
    torch.testing.assert_close(values.grad, wanted)


def test_the_mean_has_the_values_dtype():
    for dtype in (torch.float64, torch.float32, torch.float16):
        assert labeled_mean(torch.ones(12, dtype=dtype), LABEL).dtype == dtype
        assert labeled_mean(torch.ones(12, dtype=dtype), LABEL) == 1


def step(rank, world, label):
    """The loss of this process's rows, and the gradient after DDP."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1).double()
    rows = torch.randn(12, 4, dtype=torch.float64)
    if world > 1:
        model = DistributedDataParallel(model)
    rows, label = (x.chunk(world)[rank] for x in (rows, label))
    value = labeled_mean(model(rows).square().flatten(), label)
    value.backward()
    return value, [p.grad for p in model.parameters()]


def steps(rank, world):
    return [step(rank, world, label) for label in (LABEL, NONE)]


@pytest.mark.parametrize('world', [2, 3])
def test_ddp_equals_one_process(world):
    """However unequal the numbers of labeled rows are."""
    results = run_distributed(steps, world)
    for case, (value, grads) in enumerate(steps(0, 1)):
        values = [result[case][0] for result in results]
        np.testing.assert_allclose(
            np.mean(values), value.detach().numpy(), rtol=1e-7
        )
        for result in results:
            for found, expected in zip(result[case][1], grads, strict=True):
                np.testing.assert_allclose(
                    found, expected.numpy(), rtol=1e-6, atol=0
                )
