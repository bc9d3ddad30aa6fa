"""Files of students that were not trained, and pictures of every kind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from detection_data import detector
from mmengine.config import Config
from PIL import Image

from mmdistill.export import student_checkpoint
from mmdistill.registry import MODELS

CLASSES = ('blue', 'green', 'red')
MEAN, STD = [130.0, 90.0, 60.0], [50.0, 60.0, 70.0]
PACK = dict(type='PackInputs')
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=20, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=16),
    PACK,
]


def classifier(channels=3, classes=3, **preprocessor):
    settings = dict(mean=MEAN[:channels], std=STD[:channels], to_rgb=True)
    return dict(
        type='ImageClassifier',
        backbone=dict(
            type='CIFARResNet',
            depth=8,
            widths=(4, 4, 8, 16),
            in_channels=channels,
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=classes, in_channels=16),
        data_preprocessor=settings | preprocessor,
    )


def finds_much(kind='FasterRCNN'):
    """A detector that keeps whatever it finds."""
    model = detector(kind)
    model['roi'] = dict(model['roi'], box_score_thresh=0.0)
    return model


def student_file(
    path, model, pipeline=PIPELINE, size=None, classes=CLASSES, dataset=None
):
    """Write a student as its run would; returns its network."""
    cfg = Config(dict(model=model, train_dataloader=dict()))
    if pipeline is not None:
        dataset = dataset or dict(type='CustomDataset')
        dataset = dict(dataset, pipeline=pipeline)
        cfg.test_dataloader = dict(dataset=dataset)
    torch.manual_seed(0)
    built = MODELS.build(cfg.model).eval()
    if hasattr(built, 'head'):  # answers that differ from image to image
        with torch.no_grad():
            for value in built.parameters():
                value.add_(0.3 * torch.randn_like(value))
    file = student_checkpoint(built, cfg, size)
    file['meta']['dataset_meta'] = dict(classes=classes)
    torch.save(file, path)
    return built


def pictures(folder: Path) -> dict[str, Path]:
    """One picture in many forms, by what they are called."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    small = draw.integers(0, 256, (6, 8, 3), np.uint8)
    rgb = Image.fromarray(small).resize((40, 28), Image.Resampling.BILINEAR)
    alpha = Image.fromarray(draw.integers(0, 256, (28, 40), np.uint8))
    with_alpha = rgb.copy()
    with_alpha.putalpha(alpha)
    gray_alpha = rgb.convert('L')
    gray_alpha.putalpha(alpha)
    images = {
        'color.png': rgb,
        'color.JPG': rgb,
        'color.bmp': rgb,
        'color.webp': rgb,
        'gray.png': rgb.convert('L'),
        'gray.jpeg': rgb.convert('L'),
        'alpha.png': with_alpha,
        'gray_alpha.png': gray_alpha,
        'palette.png': rgb.convert('P', palette=Image.Palette.ADAPTIVE),
        'one_bit.png': rgb.convert('1'),
    }
    paths = {name: folder / name for name in images}
    for name, image in images.items():
        image.save(paths[name])
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    paths['turned.jpg'] = folder / 'turned.jpg'
    rgb.save(paths['turned.jpg'], exif=exif)
    deep = draw.integers(0, 1 << 16, (28, 40, 3), np.uint16)
    for name, values in (('gray_16.png', deep[..., 0]), ('deep.png', deep)):
        paths[name] = folder / name
        cv2.imwrite(str(paths[name]), values)
    return paths
