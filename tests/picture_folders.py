"""Folders of small pictures, as users have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int = 0, size: tuple[int, int] = (32, 32)) -> Image.Image:
    """Noise of one color; always the same for a number."""
    draw = np.random.RandomState(number)
    pixels = draw.randint(0, 60, (size[1], size[0], 3))
    pixels[..., number % 3] += 180
    return Image.fromarray(pixels.astype(np.uint8))


def class_folders(
    root: Path, classes: int = 3, images: int = 10, suffix: str = '.jpg'
) -> Path:
    """``root/color_<k>/<i>.jpg``, each class of a color of its own."""
    for k in range(classes):
        folder = root / f'color_{k}'
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(images):
            picture(3 * i + k).save(folder / f'{i}{suffix}')
    return root
