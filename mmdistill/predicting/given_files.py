"""The picture files that a command line means."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmdistill.datasets.image_files import (
    SUFFIXES,
    find_images,
    is_image_name,
)


def find_pictures(
    inputs: str | os.PathLike | Iterable[str | os.PathLike],
) -> list[str]:
    """Paths of pictures, each file once, in the order given.

    Args:
        inputs: files of any suffix; folders, which are searched at any depth
            for the suffixes of pictures in any case, sorted; and patterns
            with ``*``, ``?``, ``[...]`` and ``**``. Hidden files are left out.
    Raises:
        FileNotFoundError: if one of them does not exist, or has no picture.
    """
    if isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    found: dict[str, str] = {}
    for given in map(os.fspath, inputs):
        path = os.path.expanduser(given)
        paths = list(_pictures(path))
        if not paths:
            there = os.path.isdir(path)
            what = 'has no picture' if there else 'does not exist'
            raise FileNotFoundError(
                f'the input {given!r} {what}; give picture files, folders of '
                f'them ({" ".join(SUFFIXES)}, in any case), or '
                'patterns in quotation marks. The current folder is '
                f'{os.getcwd()!r}'
            )
        for one in paths:
            found.setdefault(_identity(one), one)
    if not found:
        raise FileNotFoundError('there is no input; give files or folders')
    return list(found.values())


def _pictures(path: str) -> Iterator[str]:
    if os.path.isdir(path):
        yield from map(str, find_images(Path(path)))
    elif '://' in path or os.path.isfile(path):
        yield path
    else:
        for one in sorted(glob.glob(path, recursive=True)):
            if os.path.isfile(one) and is_image_name(one):
                yield one


def _identity(path: str) -> str:
    return path if '://' in path else os.path.realpath(path)
