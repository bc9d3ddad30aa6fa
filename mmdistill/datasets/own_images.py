"""Dataloaders of one's own images, for configs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: ImageNet's mean and deviation, of 0 to 255, for images in BGR.
PREPROCESSOR = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
# A test image is resized so that its crop is this part of its shorter side.
_CROP = 0.875


def train_pipeline(size: int, views: int = 1) -> list[dict]:
    """Random crops and flips of an image.

    Args:
        size: height and width of the crops.
        views: how many crops of each image; CoCoRD wants two.
    """
    crops: list[dict] = [
        dict(
            type='RandomResizedCrop',
            scale=size,
            crop_ratio_range=(0.35, 1.0),
            backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ]
    if views > 1:
        crops = [dict(type='MultiView', num_views=[views], transforms=[crops])]
    return [dict(type='LoadImageFromFile'), *crops, dict(type='PackInputs')]


def test_pipeline(size: int) -> list[dict]:
    """The middle of an image.

    Args:
        size: height and width.
    """
    return [
        dict(type='LoadImageFromFile'),
        dict(
            type='ResizeEdge',
            scale=round(size / _CROP),
            edge='short',
            backend='pillow',
            interpolation='bicubic',
        ),
        dict(type='CenterCrop', crop_size=size),
        dict(type='PackInputs'),
    ]


def image_loader(
    data_root: str,
    images: str,
    pipeline: Sequence[dict],
    classes: Sequence[str] = (),
    batch_size: int = 64,
    num_workers: int = 2,
    shuffle: bool = False,
) -> dict[str, Any]:
    """The config of a dataloader.

    Args:
        data_root: the folder of the images.
        images: a folder of class folders below ``data_root``; or a list
            (``.txt``) of lines 'path class-number', paths below ``data_root``.
        pipeline: of transforms.
        classes: their names in order; none for unlabeled images.
        batch_size, num_workers, shuffle: as of torch's.
    """
    dataset: dict[str, Any] = dict(
        type='CustomDataset',
        data_root=data_root,
        pipeline=list(pipeline),
        with_label=bool(classes),
    )
    if classes:
        dataset['metainfo'] = dict(classes=tuple(classes))
    if images.endswith('.txt'):
        dataset['ann_file'] = images
    else:
        dataset['data_prefix'] = images
    return dict(
        batch_size=batch_size,
        num_workers=num_workers,
        dataset=dataset,
        sampler=dict(type='DefaultSampler', shuffle=shuffle),
        drop_last=shuffle,
    )
