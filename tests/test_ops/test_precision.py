"""Functions that autocast and half precision do not reach."""

import pytest
import torch

from mmdistill.ops.precision import full_precision


@full_precision
def product(x, further=()):
    return x @ x.t(), further


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_half_inputs_become_float32(dtype):
    x = torch.randn(3, 4).to(dtype)
    given = dict(a=[x, 1], b=(x, torch.arange(2)))
    value, further = product(x, further=given)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, x.float() @ x.float().t())
    assert further['a'][0].dtype == torch.float32 and further['a'][1] == 1
    assert further['b'][0].dtype == torch.float32
    assert further['b'][1].dtype == torch.int64
    assert given['a'][0].dtype == dtype  # stays as it is


def test_autocast_ends_at_the_function():
    x = torch.randn(3, 4)
    with torch.autocast('cpu', torch.bfloat16):
        assert (x @ x.t()).dtype == torch.bfloat16
        assert product(x)[0].dtype == torch.float32


def test_float64_stays_float64():
    assert product(torch.randn(3, 4).double())[0].dtype == torch.float64
