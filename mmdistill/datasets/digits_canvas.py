"""A generated detection and segmentation set in COCO's and VOC's formats."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from mmdistill.datasets.digits import Digits
from mmdistill.utils.palette import class_colors

CLASSES = tuple('0123456789')
# Written last: the settings that the folder was generated with.
_SETTINGS = 'digits_canvas.json'
_INK = 80  # of 240; pixels with at least this value belong to the digit
_OVERLAP = 0.1  # largest fraction of a digit that another one may cover
_ATTEMPTS = 50


def make_digits_canvas(
    folder: str | os.PathLike,
    num_train: int = 1000,
    num_val: int = 200,
    size: Sequence[int] = (64, 96),
    digits_per_image: Sequence[int] = (1, 4),
    digit_size: Sequence[int] = (16, 36),
    seed: int = 0,
) -> Path:
    """Write images of digits on a textured canvas, with boxes and masks.

    The digits are scikit-learn's handwritten digits, resized and colored at
    random. Training images use the training half of `Digits`, validation
    images the test half. The same folder serves `CocoDetection`
    (``annotations/instances_train.json``, boxes and masks) and
    `VOCSegmentation` (``ImageSets/Segmentation/train.txt``; class 0 is the
    background, digit d is class d + 1).

    An existing folder that was made with the same arguments is left
    unchanged. The folder is renamed into place once it is complete.

    Args:
        folder: output folder; its parents are created.
        num_train, num_val: numbers of images.
        size: height and width of an image, in pixels.
        digits_per_image: smallest and largest number of digits per image.
        digit_size: smallest and largest height of a digit, in pixels.
        seed: random seed.
    Raises:
        ValueError: for empty ranges, digits larger than an image, or an
            existing folder that was made with other arguments.
    """
    settings = dict(
        num_train=num_train,
        num_val=num_val,
        size=list(size),
        digits_per_image=list(digits_per_image),
        digit_size=list(digit_size),
        seed=seed,
    )
    _check(settings)
    folder = Path(folder)
    if folder.exists():
        _require_same(folder, settings)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f'.{folder.name}.'
    ) as temporary:
        made = Path(temporary, folder.name)
        _write_split(made, 'train', Digits('train'), num_train, settings)
        _write_split(made, 'val', Digits('test'), num_val, settings)
        (made / _SETTINGS).write_text(json.dumps(settings, indent=1))
        os.rename(made, folder)
    return folder


def _check(settings: dict) -> None:
    """Raise ValueError for arguments that describe no images."""
    fewest, most = settings['digits_per_image']
    smallest, largest = settings['digit_size']
    if not 1 <= fewest <= most or not 8 <= smallest <= largest:
        raise ValueError(
            'digits_per_image is a range from 1 on, digit_size one from 8 '
            f'pixels on; got {settings}'
        )
    if largest > min(settings['size']):
        raise ValueError(
            f'digits of {largest} pixels do not fit into images of '
            f'{settings["size"]} pixels; change digit_size or size'
        )
    if min(settings['num_train'], settings['num_val']) < 1:
        raise ValueError(f'num_train and num_val are 1 at least: {settings}')


def _require_same(folder: Path, settings: dict) -> None:
    """Raise ValueError unless the folder was made with these settings."""
    path = folder / _SETTINGS
    found = json.loads(path.read_text()) if path.is_file() else None
    if found != settings:
        raise ValueError(
            f'the folder {str(folder)!r} is there and was made with {found}, '
            f'not {settings}; remove it, or choose another'
        )


def _write_split(
    folder: Path, split: str, digits: Digits, count: int, settings: dict
) -> None:
    """Write the images, maps and annotations of one split."""
    maps = folder / 'SegmentationClass'
    lists = folder / 'ImageSets' / 'Segmentation'
    for path in (folder / 'JPEGImages', folder / 'annotations', maps, lists):
        path.mkdir(parents=True, exist_ok=True)
    names, images, annotations = [], [], []
    for number in range(count):
        # One seed per image: a larger set starts with the smaller one's.
        random = np.random.default_rng(
            [settings['seed'], int(split == 'train'), number]
        )
        canvas, labels, masks = _draw(random, digits, settings)
        name = f'{split}_{number:06d}'
        image = Image.fromarray(canvas)
        image.save(folder / 'JPEGImages' / f'{name}.jpg', quality=95)
        _save_map(maps / f'{name}.png', labels, masks)
        names.append(name)
        images.append(
            dict(
                id=number + 1,
                file_name=f'{name}.jpg',
                height=image.height,
                width=image.width,
            )
        )
        annotations += [
            _annotation(number + 1, label, mask)
            for label, mask in zip(labels, masks, strict=True)
        ]
    content = dict(
        images=images,
        annotations=[dict(a, id=i + 1) for i, a in enumerate(annotations)],
        categories=[dict(id=i + 1, name=x) for i, x in enumerate(CLASSES)],
    )
    path = folder / 'annotations' / f'instances_{split}.json'
    path.write_text(json.dumps(content))
    (lists / f'{split}.txt').write_text('\n'.join(names) + '\n')


def _draw(
    random: np.random.Generator, digits: Digits, settings: dict
) -> tuple[np.ndarray, list[int], list[np.ndarray]]:
    """An image with digits, their classes, and the visible mask of each.

    Shape:
        (H, W, 3) uint8; n classes; n masks (H, W) bool.
    """
    canvas = _texture(random, *settings['size'])
    fewest, most = settings['digits_per_image']
    smallest, largest = settings['digit_size']
    labels, masks = [], []
    for _ in range(random.integers(fewest, most + 1)):
        info = digits.get_data_info(int(random.integers(len(digits))))
        side = int(random.integers(smallest, largest + 1))
        digit = Image.fromarray(info['img'][:, :, 0])
        digit = np.asarray(
            digit.resize((side, side), Image.Resampling.BICUBIC)
        )
        ink = _place(random, digit, masks, canvas.shape[:2])
        if ink is None:
            continue
        # Digits are dark or bright; the canvas is in between.
        color = random.integers(0, 50, 3) + random.choice([0, 205])
        share = np.minimum(ink / 240, 1)[:, :, None]
        canvas = canvas * (1 - share) + color * share
        mask = ink >= _INK
        masks = [earlier & ~mask for earlier in masks] + [mask]
        labels.append(info['gt_label'])
    return canvas.round().astype(np.uint8), labels, masks


def _texture(
    random: np.random.Generator, height: int, width: int
) -> np.ndarray:
    """A background of colored clouds and noise, 70 to 190: (H, W, 3)."""
    clouds = random.integers(80, 180, (4, 6, 3), np.uint8)
    clouds = Image.fromarray(clouds).resize((width, height))
    noise = random.normal(0, 6, (height, width, 3))
    return np.clip(np.asarray(clouds) + noise, 70, 190)


def _place(
    random: np.random.Generator,
    digit: np.ndarray,
    masks: list[np.ndarray],
    size: tuple[int, int],
) -> np.ndarray | None:
    """The digit's ink at a random free position; None if there is no room."""
    for _ in range(_ATTEMPTS):
        ink = np.zeros(size, np.uint8)
        top, left = (
            int(random.integers(whole - part + 1))
            for whole, part in zip(size, digit.shape, strict=True)
        )
        ink[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
        mask = ink >= _INK
        covered = [(earlier & mask).sum() for earlier in masks]
        least = min([mask.sum(), *(earlier.sum() for earlier in masks)])
        if sum(covered) <= _OVERLAP * least:
            return ink
    return None


def _save_map(
    path: Path, labels: Sequence[int], masks: Sequence[np.ndarray]
) -> None:
    """Save the class of every pixel as a PNG with VOC's palette."""
    classes = np.zeros(masks[0].shape, np.uint8)
    for label, mask in zip(labels, masks, strict=True):
        classes[mask] = label + 1
    image = Image.fromarray(classes, mode='P')
    image.putpalette(class_colors(256).tobytes())
    image.save(path)


def _annotation(image_id: int, label: int, mask: np.ndarray) -> dict:
    """An instance in COCO's format, without its id."""
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return dict(
        image_id=image_id,
        category_id=label + 1,
        bbox=coco_mask.toBbox(encoded).tolist(),
        area=int(coco_mask.area(encoded)),
        iscrowd=0,
        segmentation=dict(encoded, counts=encoded['counts'].decode()),
    )
