"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch

_SUFFIX = '.tmp'


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` once it is complete."""
    target = os.path.realpath(path)  # write through a link, as open() does
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.exists(target) and not os.path.isfile(target):
        with open(target, 'wb') as file:  # /dev/null must remain a device
            yield file
        return
    temporary = f'{target}.{uuid.uuid4().hex[:8]}{_SUFFIX}'
    try:
        with open(temporary, 'xb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def atomic_save(obj: object, path: str | os.PathLike[str]) -> None:
    """``torch.save`` that leaves the old file or the new one, never a part.

    Args:
        obj: what to save.
        path: where to; folders are made.
    """
    with replacing(path) as file:
        torch.save(obj, file)


def clear_temporary(folder: str | os.PathLike[str], *names: str) -> None:
    """Remove what killed processes left of files that they were writing.

    Args:
        folder: where the files were to be.
        names: patterns of their names, such as 'epoch_*.pth'. No other
            process may be writing such files.
    """
    for name in names:
        for path in Path(folder).glob(f'{name}.{"[0-9a-f]" * 8}{_SUFFIX}'):
            path.unlink(missing_ok=True)
