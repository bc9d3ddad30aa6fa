"""Lists of images and their labels: one sample a line."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mmdistill.checkpoints import replacing
from mmdistill.datasets.image_files import is_image_name

_HEADERS = ({'path', 'label'}, {'image', 'label'}, {'file', 'label'})


class Row(NamedTuple):
    """An image as a list names it, and its class; None if unknown."""

    path: str
    label: str | None


def read_list(path: str | os.PathLike) -> list[Row]:
    """Read a list: ``image,class``, a tab or a blank between them.

    The class is a name or a number; an image without one, or with -1, is
    unlabeled. A first line ``path,label`` is a header.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it names no image, or a line is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'the list {str(path)!r} is not a file; the current folder is '
            f'{os.getcwd()!r}'
        )
    lines = path.read_text('utf-8-sig').splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        fields = _fields(line.strip())
        if not fields or (
            number == 1 and {f.strip().lower() for f in fields} in _HEADERS
        ):
            continue
        if len(fields) > 2 or not is_image_name(fields[0]):
            raise ValueError(
                f'line {number} of the list {str(path)!r} is {line!r}; '
                'expected an image file and its class, separated by a comma, '
                'a tab or a blank'
            )
        label = fields[1].strip() if len(fields) == 2 else ''
        rows.append(Row(fields[0], None if label in ('', '-1') else label))
    if not rows:
        raise ValueError(
            f'the list {str(path)!r} names no image; a line is an image file '
            'and its class, such as cats/1.jpg,cat'
        )
    return rows


def write_list(path: str | os.PathLike, rows: Iterable[Row]) -> None:
    """Write a list that `read_list` reads, whole or not at all."""
    lines = [('path', 'label'), *((p, label or '') for p, label in rows)]
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(lines)
    with replacing(path) as file:
        file.write(text.getvalue().encode())


def class_names(labels: Iterable[str | None]) -> tuple[str, ...]:
    """The classes among labels in their order: numbers as numbers."""
    names = {label for label in labels if label is not None}
    if names and all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _fields(line: str) -> list[str]:
    if not line or is_image_name(line) and ',' not in line:
        return [line] if line else []
    if ',' in line or line.startswith('"'):
        return next(csv.reader([line]))
    if '\t' in line:
        return line.split('\t')
    return line.rsplit(' ', 1)
