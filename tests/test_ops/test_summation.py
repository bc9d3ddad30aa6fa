"""Terms added in their order."""

import pytest
import torch

from mmdistill.ops.summation import add_up


def test_it_is_pythons_sum_without_the_zero():
    terms = list(torch.randn(5, 3).mul(1e4))
    assert torch.equal(add_up(terms), sum(terms))
    assert add_up(terms[:1]) is terms[0]
    with pytest.raises(TypeError):
        add_up([])
