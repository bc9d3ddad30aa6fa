"""Image files in folders: which there are, and which can be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

#: Suffixes of images, in lower case; files may have others in any case.
SUFFIXES = (
    *('.jpg', '.jpeg', '.png', '.bmp', '.ppm', '.pgm'),
    *('.tif', '.tiff', '.webp'),
)
#: Pixels of a side below which an image is a placeholder, not a picture.
SMALLEST = 8


def is_image_name(name: str) -> bool:
    """Whether a file's name is that of an image; hidden files are none."""
    base = os.path.basename(name)
    return base.lower().endswith(SUFFIXES) and not base.startswith('.')


def find_images(folder: Path) -> list[Path]:
    """Images below a folder at any depth, sorted; hidden ones are left out."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith('.'))
        found += [Path(place, name) for name in names if is_image_name(name)]
    return sorted(found)


def examine(
    paths: Sequence[Path],
) -> tuple[dict[Path, tuple[int, int]], dict[Path, str]]:
    """Decode every image once.

    A JPEG is decoded at an eighth of its size, which reads the whole file all
    the same: so one that is cut off is found before it stops a training, or
    is learned from with its lower half gray.

    Returns:
        (width, height) of the good ones, and why the others are not.
    """
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        answers = list(pool.map(_examine, paths))
    sizes, bad = {}, {}
    for path, answer in zip(paths, answers, strict=True):
        if isinstance(answer, str):
            bad[path] = answer
        else:
            sizes[path] = answer
    return sizes, bad


def _examine(path: Path) -> tuple[int, int] | str:
    try:
        if path.stat().st_size == 0:
            return 'the file is empty'
        with Image.open(path) as image:
            size = image.size
            image.draft(None, (1, 1))
            image.load()
    except Exception as error:  # Pillow's plug-ins raise anything
        return f'it cannot be decoded ({str(error)[:80]})'
    if min(size) < SMALLEST:
        return (
            f'it has {size[0]} x {size[1]} pixels, fewer than {SMALLEST} '
            'on a side'
        )
    return size
