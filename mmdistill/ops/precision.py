from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)
_Args = ParamSpec('_Args')
_Result = TypeVar('_Result')


def full_precision(
    function: Callable[_Args, _Result],
) -> Callable[_Args, _Result]:
    """Run ``function`` outside autocast, on float32 copies of half inputs.

    Losses exponentiate similarities divided by small temperatures, which half
    precision cannot represent. Tensors of other dtypes pass unchanged, so
    float64 inputs are computed in float64. Half tensors inside lists, tuples
    and dicts are converted, too.
    """

    @functools.wraps(function)
    def wrapper(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        with torch.autocast(_device_type((args, kwargs)), enabled=False):
            return function(*_widen(args), **_widen(kwargs))

    return wrapper


def _widen(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _HALF else value
    if isinstance(value, dict):
        return {key: _widen(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_widen(item) for item in value)
    return value


def _device_type(value: Any) -> str:
    """Type of the first non-CPU device found; 'cpu' if there is none."""
    if isinstance(value, Tensor):
        return value.device.type
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, (Tensor, dict, list, tuple)):
                found = _device_type(item)
                if found != 'cpu':
                    return found
    return 'cpu'
