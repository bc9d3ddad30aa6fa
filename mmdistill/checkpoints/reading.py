"""Reading a checkpoint as data: a pickle is a program, so none of it runs.

Files are read by torch's weights-only unpickler with our own short list of
globals in place of mmengine's, which holds ``getattr`` and thereby everything.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import zipfile
from typing import Any, BinaryIO

import safetensors.torch
import torch
from mmengine.logging import print_log
from mmengine.utils import digit_version

from mmdistill.checkpoints.unpickling import only_our_globals

_trusted = False


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used: which, why, and what to change."""


class _NotData(CheckpointError):
    """A checkpoint that needs more than data, so that trust decides."""


def require_safe_torch() -> None:
    """Raise ImportError if a file can get past torch's unpickler."""
    if digit_version(torch.__version__) < digit_version('2.10.0'):
        raise ImportError(
            f'torch {torch.__version__} is installed, whose weights-only '
            'unpickler a crafted checkpoint can get past (CVE-2026-24747); '
            'mmdistill needs torch 2.10 or 2.11, with torchvision 0.25 or '
            '0.26'
        )


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
                'mmdistill.checkpoints.trust_checkpoints() (Python).'
            ) from None
        raise CheckpointError(
            f'{name} is truncated, damaged or no checkpoint '
            f'({type(error).__name__}: {error}). Expected a file written by '
            'torch.save; copy or download it again.'
        ) from error


def load_file(
    path_or_file: str | os.PathLike[str] | BinaryIO, map_location: Any = 'cpu'
) -> object:
    """Read what ``torch.save`` or safetensors wrote; nothing is executed.

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
    if isinstance(path_or_file, (str, os.PathLike)):
        path = os.path.expanduser(path_or_file)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f'There is no checkpoint file {path} (looked up from '
                f'{os.getcwd()}); correct the path.'
            )
        with open(path, 'rb') as stream:
            if path.endswith('.safetensors'):
                return _safetensors(stream, path)
            return load_file(stream, map_location)
    require_safe_torch()
    name = str(getattr(path_or_file, 'name', 'The given file object'))
    start = path_or_file.tell()
    _check_zip(path_or_file, name)
    try:
        with only_our_globals():
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


def _safetensors(stream: BinaryIO, path: str) -> dict[str, torch.Tensor]:
    """The tensors of a file of the safetensors format, on the CPU."""
    try:
        return safetensors.torch.load(stream.read())
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f'{path} is truncated, damaged or no safetensors file ({error}); '
            'copy or download it again.'
        ) from error


def trust_checkpoints(trust: bool = True) -> None:
    """Let this process load checkpoints that execute code, or not any more.

    Args:
        trust: True is what ``--trust-checkpoints`` of the tools sets. A file
            must still be whole.
    """
    global _trusted
    _trusted = trust


def checkpoints_are_trusted() -> bool:
    """Whether :func:`trust_checkpoints` was called."""
    return _trusted
