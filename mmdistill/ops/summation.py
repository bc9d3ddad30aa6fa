from __future__ import annotations

import functools
import operator
from collections.abc import Iterable

from torch import Tensor


def add_up(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one term or more, added in their order.

    Unlike ``sum`` it starts from the first term and not from the integer 0,
    so a type checker knows that it is a tensor.
    """
    return functools.reduce(operator.add, terms)
