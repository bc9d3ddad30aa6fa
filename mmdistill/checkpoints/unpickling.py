"""What a checkpoint's pickle may name, in place of mmengine's longer list."""

from __future__ import annotations

import contextlib
import pickle
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_STATISTICS = ('min', 'max', 'mean', 'current')
_NUMBERS = 'b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16'.split()
_globals_lock = threading.Lock()


class _SavedArray(np.ndarray):
    """An array as it comes from a file: filled once, saved as a plain one.

    A second state would free memory that a tensor may share by then, through
    a function on torch's own list.
    """

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        if self.size:
            raise pickle.UnpicklingError('it fills an array twice')
        super().__setstate__(state)

    def __reduce__(self) -> Any:
        return np.asarray(self).__reduce__()


class _SavedHistory(HistoryBuffer):
    """Stands for ``HistoryBuffer`` in a file, and becomes one when filled.

    The original's ``__setstate__`` would replace the statistics of every
    buffer in the process, and its ``__init__`` calls ``numpy.array`` on what
    it is given, which reads any address an ``__array_interface__`` names.
    """

    def __init__(self, *args: object) -> None:
        raise pickle.UnpicklingError('it calls HistoryBuffer with arguments')

    def __setstate__(self, state: Any) -> None:
        logs, counts = state['_log_history'], state['_count_history']
        if not type(logs) is type(counts) is _SavedArray:
            raise pickle.UnpicklingError('its HistoryBuffer holds no arrays')
        self.__class__ = HistoryBuffer
        HistoryBuffer.__init__(self, logs, counts, int(state['max_length']))


class _SavedArguments(Namespace):
    """Stands for argparse's ``Namespace``, and becomes one when filled.

    Training scripts keep their arguments in their files. Names that Python
    itself looks up on objects, such as ``__reduce_ex__``, are no arguments.
    """

    def __setstate__(self, state: Any) -> None:
        if type(state) is not dict or any(
            type(name) is not str or name.startswith('__') for name in state
        ):
            raise pickle.UnpicklingError('its Namespace holds no arguments')
        self.__class__ = Namespace  # type: ignore[assignment]
        vars(self).update(state)


def _statistic(owner: object, name: str) -> str:
    """Stands for ``getattr``: only the names ``_SavedHistory`` drops."""
    if owner is _SavedHistory and name in _STATISTICS:
        return name
    what = getattr(owner, '__name__', type(owner).__name__)
    raise pickle.UnpicklingError(f'it calls getattr({what}, {name!r})')


def _empty_array(*args: object) -> _SavedArray:
    """Stands for numpy's ``_reconstruct``: an array, filled by its state."""
    return _SavedArray(0)


def _number_type(
    code: Any, align: object = False, copy: object = False
) -> np.dtype[Any]:
    """Stands for ``numpy.dtype``: numbers only, and never a copy.

    ``__setstate__`` of a copy can lay pointers over the bytes of a file; that
    of numpy's own instances does nothing (byte order is the machine's).
    """
    if code not in _NUMBERS:
        raise pickle.UnpicklingError(f'it holds an array of type {code!r}')
    return np.dtype(code)


def _allowed_globals() -> list[Callable[..., Any] | tuple[Any, str]]:
    """What a pickle may name, beside torch's own list of tensor parts."""
    allowed: list[Callable[..., Any] | tuple[Any, str]] = [
        (_statistic, 'builtins.getattr'),
        (_SavedHistory, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (_SavedArguments, 'argparse.Namespace'),
        (_empty_array, 'numpy.ndarray'),
        (_number_type, 'numpy.dtype'),
        (bytes, 'builtins.bytes'),  # the content of an empty array
    ]
    scalar = np.float64().__reduce__()[0]
    for core in ('numpy.core', 'numpy._core'):  # numpy 1 and numpy 2
        allowed.append((_empty_array, f'{core}.multiarray._reconstruct'))
        allowed.append((scalar, f'{core}.multiarray.scalar'))
    # torch sets the state only of types on the list. No pickle can spell a
    # name with a line break, so none can call these.
    filled: set[type] = {
        _SavedArray,
        *(type(np.dtype(code)) for code in _NUMBERS),
    }
    return allowed + [(kind, f'{kind.__name__}\n') for kind in filled]


@contextlib.contextmanager
def only_our_globals() -> Iterator[None]:
    """Put our list in place of what any library added for the process."""
    with _globals_lock:
        others = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(_allowed_globals())
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(others)
