"""Measures of collapse, by hand and at their extremes."""

import math

import pytest
import torch

from mmdistill.evaluation import effective_rank, prototype_usage, spread


def directions(n, d):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def test_spread():
    x = directions(4000, 32)
    assert spread(x) == pytest.approx(1, abs=0.02)
    assert spread(7 * x) == pytest.approx(float(spread(x)))
    assert spread(x[:1].expand(50, 32)) == pytest.approx(0, abs=1e-7)
    # two opposite directions: each dimension is +a and -a in equal numbers
    a = torch.nn.functional.normalize(x[:1])
    expected = a.abs().mean() * math.sqrt(32) * math.sqrt(4 / 3)
    opposite = torch.cat([a, a, -a, -a])
    assert spread(opposite) == pytest.approx(float(expected))


def test_effective_rank():
    eye = torch.eye(9)
    assert effective_rank(eye) == pytest.approx(9, rel=1e-5)
    assert effective_rank(eye[:4]) == pytest.approx(4, rel=1e-5)
    assert effective_rank(eye[:1].expand(6, 9)) == pytest.approx(1, rel=1e-3)
    eye[5] = torch.nan  # of a diverged run: no exception
    assert effective_rank(eye) == pytest.approx(8, rel=1e-5)
    # singular values 2 and 1
    rows = eye[[0, 0, 0, 0, 1]]
    entropy = math.log(3) - 2 / 3 * math.log(2)
    assert effective_rank(rows) == pytest.approx(math.exp(entropy), rel=1e-5)


def test_prototype_usage():
    even = 50 * torch.eye(4).repeat(3, 1)
    assert prototype_usage(even) == pytest.approx((1, 1))
    one = even[:1].expand(8, 4)
    assert prototype_usage(one) == pytest.approx((0, 0.25), abs=1e-6)
    scores = torch.tensor([[math.log(3), 0.0]])
    entropy = (2 * math.log(2) - 0.75 * math.log(3)) / math.log(2)
    assert prototype_usage(scores, 1.0) == pytest.approx((entropy, 0.5))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype):
    x = directions(30, 8).to(dtype)
    with torch.autocast('cpu', torch.bfloat16):
        found = spread(x), effective_rank(x), *prototype_usage(x)
    assert all(value.dtype == torch.float32 for value in found)
    x = x.float()
    assert found == (spread(x), effective_rank(x), *prototype_usage(x))
