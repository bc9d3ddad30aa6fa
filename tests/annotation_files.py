"""Images and annotations on disk, in the authors' layouts."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.structures import BaseDataElement, InstanceData
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from mmdistill.registry import DATASETS


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """What MMEngine's logger is told meanwhile."""
    messages = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


PIPELINE = [
    dict(type='LoadRGBImage'),
    dict(type='LoadInstances'),
    dict(type='PackDenseInputs'),
]


def with_transforms(*transforms, load='LoadInstances'):
    """A pipeline with torchvision's transforms in it."""
    return [
        dict(type='LoadRGBImage'),
        dict(type=load),
        dict(type='VisionTransforms', transforms=list(transforms)),
        dict(type='PackDenseInputs'),
    ]


def write_image(path: Path, size=(40, 60), seed=0) -> np.ndarray:
    """Noise, so that it takes enough bytes to be cut off."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def cut_off(path: Path) -> None:
    """Leave the first two thirds of a file, as a full disk does."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def decoded(path: Path) -> torch.Tensor:
    return pil_to_tensor(Image.open(path).convert('RGB'))


def annotation(number, image, category, bbox, **kwargs):
    """One entry of ``annotations``, its outline the box."""
    x, y, w, h = bbox
    return (
        dict(
            id=number,
            image_id=image,
            category_id=category,
            bbox=list(bbox),
            area=w * h,
            iscrowd=0,
            segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
        )
        | kwargs
    )


def write_coco(root: Path, annotations, images=4, categories=(3, 7, 90)):
    """``annotations.json`` and PNG files, 40 x 60; image ids 10, 20, ...."""
    entries = []
    for i in range(1, images + 1):
        name = f'{i:03d}.png'
        write_image(root / 'images' / name, seed=i)
        entries.append(dict(id=10 * i, file_name=name, height=40, width=60))
    content = dict(
        images=entries[::-1],  # in no order
        annotations=annotations,
        categories=[dict(id=i, name=f'class{i}') for i in categories],
    )
    (root / 'annotations.json').write_text(json.dumps(content))
    return root


VOC_XML = """<annotation>
<filename>{name}.jpg</filename>
<size><width>60</width><height>40</height><depth>3</depth></size>
{objects}
</annotation>"""

VOC_OBJECT = """<object><name>{}</name><difficult>{}</difficult><bndbox>
<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>
<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax>
<ymax>2</ymax></bndbox></part></object>"""


def write_voc(folder: Path, objects: dict[str, list], image_set='trainval'):
    """A year of VOCdevkit; objects are (name, difficult, four corners)."""
    lists = folder / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    (folder / 'Annotations').mkdir()
    for seed, (name, found) in enumerate(objects.items()):
        write_image(folder / 'JPEGImages' / f'{name}.jpg', seed=seed)
        text = '\n'.join(VOC_OBJECT.format(*x) for x in found)
        (folder / 'Annotations' / f'{name}.xml').write_text(
            VOC_XML.format(name=name, objects=text)
        )
    (lists / f'{image_set}.txt').write_text('\n'.join(objects) + '\n')


def predicted(
    img_id=0, boxes=(), scores=(), labels=(), size=(40, 60), **metainfo
):
    """An element with detections, as a detector gives it."""
    element = BaseDataElement(
        metainfo=dict(
            img_id=img_id,
            img_path=f'{img_id}.jpg',
            ori_shape=size,
            img_shape=size,
            corrupt=False,
        )
        | metainfo
    )
    element.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.tensor(scores, dtype=torch.float32),
        labels=torch.tensor(labels, dtype=torch.int64),
    )
    return element


BOXES = [
    annotation(1, 10, 7, (5, 6, 20, 10)),
    annotation(2, 10, 90, (30, 0, 15.5, 40)),
    annotation(3, 20, 3, (0, 0, 60, 40)),
    annotation(4, 40, 3, (10, 10, 8, 8)),
]


def coco(root, **kwargs):
    return DATASETS.build(
        dict(
            type='CocoDetection',
            data_root=str(root),
            ann_file='annotations.json',
            data_prefix=dict(img='images'),
            pipeline=PIPELINE,
        )
        | kwargs
    )
