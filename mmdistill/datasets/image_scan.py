"""A first look at a folder of images: what there is, and what is broken."""

from __future__ import annotations

import csv
import os
import random
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from PIL import Image

from mmdistill.utils.text import shown

#: Suffixes that OpenCV reads; case does not matter.
SUFFIXES = frozenset(
    '.jpg .jpeg .jpe .png .bmp .webp .tif .tiff .ppm .pgm .pbm .jp2'.split()
)
_TRAIN, _VAL = ('train', 'training'), ('val', 'valid', 'validation', 'test')
_SMALLEST = 8  # pixels of a side that is worth to learn from
_DECODED = 20_000  # so many are decoded to find broken ones; of more, headers
_SHARE = 0.2  # of a class that is kept for validation, if there is no folder


class DataError(ValueError):
    """Images that cannot be trained on, and what to do about them."""


@dataclass(frozen=True)
class Images:
    """What a scan found.

    Attributes:
        root: the folder that paths are relative to.
        train, val: (path, class number); -1 where there are no classes.
        classes: names, sorted; empty if images have no labels.
        side: the median of the images' shorter sides, in pixels.
        left_out: (path, why) of images that cannot be used.
        was_split: whether ``val`` was drawn from the training images.
    """

    root: Path
    train: list[tuple[str, int]]
    val: list[tuple[str, int]]
    classes: tuple[str, ...]
    side: int
    left_out: list[tuple[str, str]] = field(default_factory=list)
    was_split: bool = False

    def summary(self) -> str:
        """What was found, in a few lines."""
        what = (
            f'of {len(self.classes)} classes' if self.classes else 'unlabeled'
        )
        text = (
            f'{len(self.train)} training and {len(self.val)} validation '
            f'images, {what}, in {self.root}; the median of their shorter '
            f'sides is {self.side} pixels'
        )
        if self.was_split:
            text += (
                f'\n{_SHARE:.0%} of each class were drawn for validation; '
                'folders train/ and val/ would keep them apart'
            )
        if self.left_out:
            first = shown([f'{p} ({why})' for p, why in self.left_out], 4)
            text += f'\n{len(self.left_out)} images are left out: {first}'
        return text


def scan_images(
    data: str | os.PathLike,
    val: str | os.PathLike | None = None,
    seed: int = 0,
) -> Images:
    """Look through images: class folders, a list, or a heap of them.

    - ``data/train/CLASS/…`` and ``data/val/CLASS/…`` (or ``test``);
    - ``data/CLASS/…``, of which a fifth of every class is drawn for
      validation;
    - a file of lines ``path label`` (commas, tabs or spaces; paths relative to
      the file), where a label is a class's name;
    - images at any depth below a folder without folders of classes: unlabeled.

    Suffixes may have any case. Images that are broken or smaller than 8
    pixels are left out and said so.

    Args:
        data: a folder or a list.
        val: the same of the validation images, if they are elsewhere.
        seed: of the split, where one is drawn.
    Raises:
        FileNotFoundError: if a folder or a list does not exist.
        DataError: if there are no images, one class alone, or classes that
            differ between training and validation.
    """
    data, val = Path(data).expanduser(), val and Path(val).expanduser()
    for path in filter(None, (data, val)):
        if not path.exists():
            raise FileNotFoundError(
                f'the images {str(path)!r} do not exist; the current folder '
                f'is {os.getcwd()!r}'
            )
    if val is not None and val.resolve() == data.resolve():
        raise DataError(
            f'{str(data)!r} is given for training and for validation; leave '
            'the validation out, and a part is drawn for it'
        )
    found = _listed(data) if data.is_file() else _in_folder(data, val)
    if val is not None and (data.is_file() or val.is_file()):
        other = _listed(val) if val.is_file() else _labeled(val)
        found = found[0], other[0]
    train, held_out = found
    root = Path(os.path.commonpath([_folder(data), _folder(val or data)]))
    paths = [path for path, _ in (*train, *(held_out or ()))]
    if not paths:
        raise DataError(
            f'there is no image in {str(data)!r}; images end in '
            f'{" ".join(sorted(SUFFIXES))}'
        )
    sides, broken = _looked_at(paths)
    names = sorted({label for _, label in train if label is not None})
    _check_classes(data, names, held_out)
    numbers = {name: i for i, name in enumerate(names)}

    def usable(rows: Iterable[tuple[Path, str | None]]) -> list:
        return [
            (os.path.relpath(path, root), numbers.get(label, -1))
            for path, label in rows
            if path not in broken
        ]

    train, was_split = usable(train), held_out is None and bool(names)
    held_out = usable(held_out or ())
    if was_split:
        train, held_out = _split(train, seed)
    _check_counts(data, train, names)
    return Images(
        root,
        train,
        held_out,
        tuple(names),
        int(median(sides)),
        [(os.path.relpath(p, root), why) for p, why in broken.items()],
        was_split,
    )


def _folder(path: Path) -> Path:
    path = path.resolve()
    return path.parent if path.is_file() else path


def _images_below(folder: Path) -> list[Path]:
    return sorted(
        Path(place, name)
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES
    )


def _subfolders(folder: Path) -> dict[str, Path]:
    return {p.name: p for p in sorted(folder.iterdir()) if p.is_dir()}


def _in_folder(data: Path, val: Path | None) -> tuple[list, list | None]:
    """Rows (path, class name or None) of both splits."""
    folders = {n.lower(): p for n, p in _subfolders(data).items()}
    train = next((folders[n] for n in _TRAIN if n in folders), None)
    held_out = next((folders[n] for n in _VAL if n in folders), None)
    if val is not None:
        return _labeled(train or data)[0], _labeled(val)[0]
    if train is None:
        return _labeled(data)
    rows = _labeled(train)[0]
    return rows, None if held_out is None else _labeled(held_out)[0]


def _labeled(folder: Path) -> tuple[list, None]:
    """Rows of class folders; of one without any, unlabeled images.

    A folder directly below that holds images is a class, unless images lie
    beside the folders: then it is a heap.
    """
    if folder.is_file():
        return _listed(folder)
    beside = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES]
    classes = {} if beside else _subfolders(folder)
    rows = [
        (path, name)
        for name, place in classes.items()
        for path in _images_below(place)
    ]
    if not rows:
        rows = [(path, None) for path in _images_below(folder)]
    return rows, None


def _listed(file: Path) -> tuple[list, None]:
    """Rows of a list; a header is one whose file does not exist."""
    text = file.read_text('utf-8-sig')
    lines = [line for line in text.splitlines() if line.strip()]
    rows = []
    for number, line in enumerate(lines, 1):
        if ',' in line or '\t' in line:
            parts = next(
                csv.reader([line], delimiter='\t' if '\t' in line else ',')
            )
        else:
            parts = line.rsplit(maxsplit=1)
            if not (file.parent / parts[0]).is_file():
                parts = [line.strip()]
        path = file.parent / parts[0].strip()
        if not path.is_file():
            if number == 1 and path.suffix.lower() not in SUFFIXES:
                continue
            raise DataError(
                f'line {number} of {str(file)!r} names the image '
                f'{parts[0]!r}, which does not exist in {str(file.parent)!r}'
            )
        label = parts[1].strip() if len(parts) > 1 else None
        rows.append((path, label or None))
    labeled = sum(label is not None for _, label in rows)
    if 0 < labeled < len(rows):
        raise DataError(
            f'{labeled} of {len(rows)} lines of {str(file)!r} have a label; '
            'give one to all, or to none'
        )
    return rows, None


def _looked_at(paths: Sequence[Path]) -> tuple[list[int], dict[Path, str]]:
    """Shorter sides of the images, and why some cannot be used."""
    decode = len(paths) <= _DECODED
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda path: _side(path, decode), paths))
    broken = {
        path: result
        for path, result in zip(paths, results, strict=True)
        if isinstance(result, str)
    }
    sides = [result for result in results if not isinstance(result, str)]
    if not sides:
        first = shown([f'{p} ({why})' for p, why in broken.items()], 4)
        raise DataError(f'none of {len(paths)} images can be used: {first}')
    return sides, broken


def _side(path: Path, decode: bool) -> int | str:
    """An image's shorter side, or what is wrong with it."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter('ignore')
            side = min(image.size)
            if decode:
                image.load()
    except (OSError, ValueError, SyntaxError) as error:
        return f'cannot be read: {str(error)[:60] or type(error).__name__}'
    if side < _SMALLEST:
        return f'{side} pixels high or wide'
    if decode:
        content = np.fromfile(path, np.uint8)
        if cv2.imdecode(content, cv2.IMREAD_COLOR) is None:
            return 'OpenCV cannot read it'
    return side


def _split(rows: list[tuple[str, int]], seed: int) -> tuple[list, list]:
    """Training and validation rows, a share of every class.

    A class of one image stays in training.
    """
    draw = random.Random(seed)
    train, val = [], []
    for number in sorted({label for _, label in rows}):
        own = [row for row in rows if row[1] == number]
        draw.shuffle(own)
        count = max(1, round(_SHARE * len(own))) if len(own) > 1 else 0
        val += own[:count]
        train += own[count:]
    return sorted(train), sorted(val)


def _check_classes(
    data: Path, names: Sequence[str], held_out: Sequence | None
) -> None:
    if len(names) == 1:
        raise DataError(
            f'{str(data)!r} has the one class {names[0]!r}, so there is '
            'nothing to tell apart: give two class folders or more, or for '
            'unlabeled images the folder with the images itself'
        )
    others = {label for _, label in held_out or ()} - set(names)
    if names and others:
        raise DataError(
            'the validation images have the classes '
            f'{shown(sorted(map(str, others)))}, which the training images '
            f'lack; those have {shown(list(names))}'
        )


def _check_counts(data: Path, train: Sequence, names: Sequence[str]) -> None:
    if not train:
        raise DataError(f'no image for training is left in {str(data)!r}')
    counts = Counter(label for _, label in train)
    empty = [name for i, name in enumerate(names) if not counts[i]]
    if empty:
        raise DataError(
            f'the classes {shown(empty)} of {str(data)!r} have no image for '
            'training that can be used; add some, or take their folders away'
        )
