"""How checkpoints are read, as data, and written, whole or not at all.

A checkpoint may come from a stranger, and a pickle is a program. So files are
read by torch's weights-only unpickler with the short list below in place of
mmengine's, which holds ``getattr`` and thereby everything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import re
import threading
import uuid
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse

import mmengine
import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import torch
from mmengine.fileio import LocalBackend
from mmengine.logging import HistoryBuffer, print_log

_STATISTICS = ('min', 'max', 'mean', 'current')
_NUMBERS = 'b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16'.split()
_globals_lock = threading.Lock()
_trusted = False


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used: which, why, and what to change."""


class _NotData(CheckpointError):
    """A checkpoint that needs more than data, so that trust decides."""


class _SavedArray(np.ndarray):
    """An array as it comes from a file: filled once, saved as a plain one.

    A second state would free memory that a tensor may share by then, through
    a function on torch's own list.
    """

    __slots__ = ()

    def __setstate__(self, state):
        if self.size:
            raise pickle.UnpicklingError('it fills an array twice')
        super().__setstate__(state)

    def __reduce__(self):
        return np.asarray(self).__reduce__()


class _SavedHistory(HistoryBuffer):
    """Stands for ``HistoryBuffer`` in a file, and becomes one when filled.

    The original's ``__setstate__`` would replace the statistics of every
    buffer in the process, and its ``__init__`` calls ``numpy.array`` on what
    it is given, which reads any address an ``__array_interface__`` names.
    """

    def __init__(self, *args):
        raise pickle.UnpicklingError('it calls HistoryBuffer with arguments')

    def __setstate__(self, state):
        logs, counts = state['_log_history'], state['_count_history']
        if not type(logs) is type(counts) is _SavedArray:
            raise pickle.UnpicklingError('its HistoryBuffer holds no arrays')
        self.__class__ = HistoryBuffer
        self.__init__(logs, counts, int(state['max_length']))


def _statistic(owner, name):
    """Stands for ``getattr``: only the names ``_SavedHistory`` drops."""
    if owner is _SavedHistory and name in _STATISTICS:
        return name
    owner = getattr(owner, '__name__', type(owner).__name__)
    raise pickle.UnpicklingError(f'it calls getattr({owner}, {name!r})')


def _empty_array(*args):
    """Stands for numpy's ``_reconstruct``: an array, filled by its state."""
    return _SavedArray(0)


def _number_type(code, align=False, copy=False):
    """Stands for ``numpy.dtype``: numbers only, and never a copy.

    ``__setstate__`` of a copy can lay pointers over the bytes of a file; that
    of numpy's own instances does nothing (byte order is the machine's).
    """
    if code not in _NUMBERS:
        raise pickle.UnpicklingError(f'it holds an array of type {code!r}')
    return np.dtype(code)


def _allowed_globals() -> list[tuple[Any, str]]:
    """What a pickle may name, beside torch's own list of tensor parts."""
    allowed = [
        (_statistic, 'builtins.getattr'),
        (_SavedHistory, 'mmengine.logging.history_buffer.HistoryBuffer'),
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
    filled = {_SavedArray, *(type(np.dtype(code)) for code in _NUMBERS)}
    return allowed + [(kind, f'{kind.__name__}\n') for kind in filled]


@contextlib.contextmanager
def _only_our_globals() -> Iterator[None]:
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


def _check_zip(stream: BinaryIO, name: str) -> None:
    """Compare a zip's entries with their checksums, which torch does not."""
    start = stream.tell()
    is_zip = stream.read(4) == b'PK\x03\x04'  # what torch goes by
    stream.seek(start)
    if not is_zip:
        return
    try:
        with zipfile.ZipFile(stream) as archive:
            damaged = archive.testzip()
    except Exception as error:  # a damaged header can raise nearly anything
        raise CheckpointError(
            f'{name} is truncated or damaged ({error}). Delete it and copy '
            'or download it again.'
        ) from error
    if damaged is not None:
        raise CheckpointError(
            f'{name} is damaged: its entry {damaged} does not match its '
            'checksum. Delete it and copy or download it again.'
        )
    stream.seek(start)


def _torch_load(
    stream: BinaryIO, name: str, map_location: Any, weights_only: bool
) -> object:
    """``torch.load`` whose errors say what to do about a checkpoint."""
    try:
        return torch.load(
            stream, map_location=map_location, weights_only=weights_only
        )
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if type(error) is RuntimeError and 'map_location' in str(error):
            raise  # it needs a device that this machine lacks
        # torch wraps its reason in advice to load without restriction.
        reason = str(error.__context__ or error).rstrip('. ')
        if weights_only and (
            isinstance(error, pickle.UnpicklingError)
            or 'weights_only' in reason
        ):
            found = re.search(r'GLOBAL (\S+)', reason)
            why = f'it needs the global {found[1]}' if found else reason
            raise _NotData(
                f'{name} is refused ({why}): it holds more than tensors and '
                'plain values, or is truncated, damaged or no checkpoint. '
                'Nothing in it was executed. If you trust its origin, load '
                'it with --trust-checkpoints (tools) or '
                'mmdistill.engine.checkpoint.trust_checkpoints() (Python).'
            ) from None
        raise CheckpointError(
            f'{name} is truncated, damaged or no checkpoint '
            f'({type(error).__name__}: {error}). Expected a file written by '
            'torch.save; copy or download it again.'
        ) from error


def load_file(
    path_or_file: str | os.PathLike | BinaryIO, map_location: Any = 'cpu'
) -> object:
    """Read a file that ``torch.save`` wrote, without executing any of it.

    Args:
        path_or_file: a local path, or a seekable binary file object.
        map_location: as of ``torch.load``.

    Returns:
        The object in the file.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is truncated, damaged, no checkpoint, or
            needs code that is not on our list (unless checkpoints are
            trusted, see :func:`trust_checkpoints`).
    """
    if not hasattr(path_or_file, 'read'):
        path = os.path.expanduser(path_or_file)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f'There is no checkpoint file {path} (looked up from '
                f'{os.getcwd()}); correct the path.'
            )
        with open(path, 'rb') as stream:
            return load_file(stream, map_location)
    name = str(getattr(path_or_file, 'name', 'The given file object'))
    start = path_or_file.tell()
    _check_zip(path_or_file, name)
    try:
        with _only_our_globals():
            return _torch_load(path_or_file, name, map_location, True)
    except _NotData:
        if not _trusted:
            raise
    print_log(
        f'{name} needs more than tensors and plain values, and is executed '
        'because checkpoints are trusted.',
        logger='current',
        level=logging.WARNING,
    )
    path_or_file.seek(start)
    return _torch_load(path_or_file, name, map_location, False)


def trust_checkpoints(trust: bool = True) -> None:
    """Let this process load checkpoints that execute code, or not any more.

    Args:
        trust: True is what ``--trust-checkpoints`` of the tools sets. A file
            must still be whole.
    """
    global _trusted
    _trusted = trust


def state_dict_of(checkpoint: object, name: str) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint, without DDP's 'module.' prefix.

    Args:
        checkpoint: what :func:`load_file` returned: a dict with the weights
            under 'state_dict' or 'model', or the weights themselves.
        name: what error messages call the checkpoint; its path.

    Raises:
        CheckpointError: if there are no weights in it, or not only weights.
    """
    expected = (
        "expected a dict with 'state_dict' or 'model', or a dict of "
        'tensors; save model.state_dict()'
    )
    weights = checkpoint
    if isinstance(checkpoint, dict):
        for key in ('model', 'state_dict'):
            if key in checkpoint:
                weights = checkpoint[key]
    if not isinstance(weights, dict) or not weights:
        empty = 'an empty' if isinstance(weights, dict) else 'a'
        raise CheckpointError(
            f'{name} holds {empty} {type(weights).__name__} where its '
            f'weights should be, {expected}.'
        )
    others = [
        key
        for key, value in weights.items()
        if not (isinstance(key, str) and isinstance(value, torch.Tensor))
    ]
    if others:
        raise CheckpointError(
            f'{name} holds other things than tensors under {others[:8]}, '
            f'{expected}.'
        )
    result = OrderedDict(
        (key.removeprefix('module.'), weights[key]) for key in weights
    )
    metadata = getattr(weights, '_metadata', None)
    if isinstance(metadata, dict):  # layer versions, read by load_state_dict
        result._metadata = OrderedDict(
            (f'{key}.'.removeprefix('module.')[:-1], metadata[key])
            for key in metadata
        )
    return result


@contextlib.contextmanager
def _replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` once it is complete."""
    target = os.path.realpath(path)  # write through a link, as open() does
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.exists(target) and not os.path.isfile(target):
        with open(target, 'wb') as file:  # /dev/null must remain a device
            yield file
        return
    temporary = f'{target}.{uuid.uuid4().hex[:8]}.tmp'
    try:
        with open(temporary, 'xb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def atomic_save(obj: object, path: str | os.PathLike) -> None:
    """``torch.save`` that leaves the old file or the new one, never a part.

    Args:
        obj: what to save.
        path: where to; folders are made.
    """
    with _replacing(path) as file:
        torch.save(obj, file)


def _put(self, obj: bytes, filepath: str | os.PathLike) -> None:
    """``LocalBackend.put``, through which mmengine writes checkpoints."""
    with _replacing(filepath) as file:
        file.write(obj)


def _is_own_record(key: object, value: object, folder: str | None) -> bool:
    """Whether ``CheckpointHook`` may act on an entry of ``runtime_info``.

    It deletes what 'best_ckpt...' and 'keep_ckpt_ids' name, even folders;
    its own best checkpoints lie beside the others.
    """
    if str(key).startswith('best_ckpt'):
        return (
            isinstance(value, str)
            and os.path.realpath(os.path.dirname(value)) == folder
            and re.fullmatch(r'best_.*\.pth', os.path.basename(value))
            is not None
        )
    if key == 'keep_ckpt_ids':
        return type(value) is list and all(type(i) is int for i in value)
    return True


def _disarmed(checkpoint: object, folder: str | None) -> object:
    """Drop what mmengine would act on: code to run and paths to delete.

    ``Runner.resume`` executes ``meta['config']``, an entry of mmcv 1, as
    Python. ``dict.get(x)`` because a file can shadow ``x.get``.
    """
    if not isinstance(checkpoint, dict):
        return checkpoint
    meta = dict.get(checkpoint, 'meta')
    if isinstance(meta, dict):
        checkpoint['meta'] = {
            key: value for key, value in dict.items(meta) if key != 'config'
        }
    if 'message_hub' in checkpoint:
        hub = dict(dict.items(checkpoint['message_hub']))
        hub['runtime_info'] = {
            key: value
            for key, value in dict.items(hub['runtime_info'])
            if _is_own_record(key, value, folder)
        }
        checkpoint['message_hub'] = hub
    return checkpoint


def _load_for_mmengine(file, map_location=None, weights_only=None):
    """mmengine's ``_safe_torch_load``; ``weights_only`` is ours to decide."""
    checkpoint = load_file(file, map_location)
    if _trusted:
        return checkpoint
    is_path = isinstance(file, (str, os.PathLike))
    folder = os.path.dirname(os.path.realpath(file)) if is_path else None
    return _disarmed(checkpoint, folder)


def _load_url(url, model_dir=None, map_location=None, progress=True):
    """mmengine's ``load_url``: fetch a file once, then read it as any."""
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    path = folder / os.path.basename(urlparse(url).path)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=progress)
    return _load_for_mmengine(path, map_location)


def install_loading_policy() -> None:
    """Make mmengine read and write checkpoints through this module.

    Runner's ``resume`` and ``load_from``, the ``Pretrained`` initialisation
    and everything else that uses mmengine's loaders then read with
    :func:`load_file`, and local checkpoints are replaced atomically. Calling
    it again changes nothing.

    Raises:
        ImportError: if mmengine has another loader than we replace.
    """
    for door in ('_safe_torch_load', 'load_url'):
        if not hasattr(mmengine_checkpoint, door):
            raise ImportError(
                f'mmengine {mmengine.__version__} has no {door} in '
                'mmengine.runner.checkpoint, so its checkpoints would be '
                'loaded unchecked; install onedl-mmengine >= 0.10.12.'
            )
    mmengine_checkpoint._safe_torch_load = _load_for_mmengine
    mmengine_checkpoint.load_url = _load_url
    LocalBackend.put = _put
