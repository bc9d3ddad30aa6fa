"""PASCAL VOC in the layout of its development kit."""

from __future__ import annotations

import os.path as osp
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.fileio import exists, list_from_file
from mmengine.logging import print_log
from PIL import Image

from mmdistill.datasets.dense_dataset import (
    BoxCleaner,
    DenseDataset,
    DetectionDataset,
    require_files,
)
from mmdistill.registry import DATASETS

#: The 20 classes, in the order of the development kit.
VOC_CLASSES = (
    'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat',
    'chair', 'cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person',
    'pottedplant', 'sheep', 'sofa', 'train', 'tvmonitor',
)  # fmt: skip
_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


@DATASETS.register_module()
class VOCDetection(DetectionDataset):
    """VOC images with boxes, from one or several years.

    VOC's files count pixels from 1 and include both corners; boxes here are
    (xmin - 1, ymin - 1, xmax, ymax), as in detectron2.

    Paper: Everingham et al., The Pascal Visual Object Classes (VOC)
    Challenge, IJCV 88, 2010, https://doi.org/10.1007/s11263-009-0275-4.

    Args:
        data_root: folder of the development kit, with ``VOC2007``,
            ``VOC2012``.
        image_sets: pairs of year and list: ``('2007', 'trainval')`` is
            ``VOC2007/ImageSets/Main/trainval.txt``.
        use_difficult: train on the objects marked as difficult, too. Tests
            always load them with their mark, for `VOCMetric`.
        classes: names of the classes; other objects are left out.
        keep_empty: keep images without a box in training. Tests keep them
            always.
        corrupt: policy for images that cannot be decoded, 'fail' or 'skip'.
        pipeline, test_mode, indices, lazy_init, ...: as in MMPretrain's
            BaseDataset.
    Raises:
        FileNotFoundError: if a list, annotations or images are missing.
        ValueError: if an annotation file is damaged, or image_sets are not
            pairs.
    Config:
        dataset=dict(
            type='VOCDetection',
            data_root='data/VOCdevkit',
            image_sets=[('2007', 'trainval'), ('2012', 'trainval')],
            pipeline=train_pipeline)
    """

    METAINFO = dict(classes=VOC_CLASSES)

    def __init__(
        self,
        data_root: str,
        image_sets: Sequence[tuple[str, str]] = (('2007', 'trainval'),),
        use_difficult: bool = True,
        **kwargs: Any,
    ) -> None:
        if any(isinstance(pair, str) for pair in image_sets):
            raise ValueError(
                "VOCDetection.image_sets are pairs, such as [('2007', "
                f"'trainval')], got {image_sets}"
            )
        self.image_sets = image_sets
        self.use_difficult = use_difficult
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per image: path, size, boxes, labels, difficult marks."""
        cleaner, others = BoxCleaner(), Counter()
        data_list = []
        for year, name in self.image_sets:
            folder = osp.join(self.data_root, f'VOC{year}')
            names = _read_list(folder, 'Main', name, 'image_sets')
            images = [f'{folder}/JPEGImages/{x}.jpg' for x in names]
            files = [f'{folder}/Annotations/{x}.xml' for x in names]
            require_files(
                images + files, 'complete the folders, or correct data_root'
            )
            for name, image, file in zip(names, images, files, strict=True):
                found = _read_annotation(file)
                data_list.append(
                    dict(
                        img_id=name,
                        img_path=image,
                        **self._instances(found, image, cleaner, others),
                    )
                )
        cleaner.log()
        if others:
            print_log(
                f'{others.total()} objects of VOCDetection are in none of its '
                f'classes and left out: {dict(others)}',
                'current',
            )
        return data_list

    def _instances(
        self, found: dict, image: str, cleaner: BoxCleaner, others: Counter
    ) -> dict:
        """The objects of the chosen classes, as arrays."""
        classes = self.class_to_idx
        others.update(x for x in found['names'] if x not in classes)
        labels = np.array([classes.get(x, -1) for x in found['names']], int)
        size = found['height'], found['width']
        boxes, kept = cleaner(found['boxes'], size, image)
        kept &= labels >= 0
        if not (self.use_difficult or self.test_mode):
            kept &= ~found['difficult']
        return dict(
            height=size[0],
            width=size[1],
            boxes=boxes[kept],
            labels=labels[kept],
            difficult=found['difficult'][kept],
        )

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [f'Image sets: \t{self.image_sets} in {self.data_root!r}']


@DATASETS.register_module()
class VOCSegmentation(DenseDataset):
    """Semantic segmentation in VOC's layout.

    Papers: Everingham et al., The Pascal Visual Object Classes (VOC)
    Challenge, IJCV 88, 2010, https://doi.org/10.1007/s11263-009-0275-4.
    ``trainaug``: Hariharan et al., Semantic Contours from Inverse Detectors,
    ICCV 2011.

    Args:
        data_root: folder of a year, such as ``data/VOCdevkit/VOC2012``.
        image_set: list of names, ``ImageSets/Segmentation/train.txt``.
        data_prefix: the folders of images (``.jpg``) and maps (``.png``);
            ``map`` defaults to ``SegmentationClass``, for ``trainaug`` to
            ``SegmentationClassAug``.
        classes: names of the classes, in the order of their numbers in the
            maps; the default is background and VOC's 20. 255 is ignored.
        corrupt: policy for files that cannot be decoded, 'fail' or 'skip'.
        pipeline, test_mode, indices, lazy_init, ...: as in MMPretrain's
            BaseDataset.
    Raises:
        FileNotFoundError: if the list, images or maps are missing.
    Config:
        dataset=dict(
            type='VOCSegmentation',
            data_root='data/VOCdevkit/VOC2012',
            image_set='trainaug',
            pipeline=train_pipeline)
    """

    METAINFO = dict(classes=('background', *VOC_CLASSES))

    def __init__(
        self,
        data_root: str,
        image_set: str = 'train',
        data_prefix: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.image_set = image_set
        maps = 'SegmentationClass'
        if image_set == 'trainaug':
            maps = 'SegmentationClassAug'
        prefix = dict(img='JPEGImages', map=maps) | (data_prefix or {})
        super().__init__(data_root=data_root, data_prefix=prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per image: the paths of the image and its map."""
        names = _read_list(
            self.data_root, 'Segmentation', self.image_set, 'image_set'
        )
        prefix = self.data_prefix
        images = [osp.join(prefix['img'], f'{name}.jpg') for name in names]
        maps = [osp.join(prefix['map'], f'{name}.png') for name in names]
        require_files(
            images + maps,
            'complete the folders, or correct data_root and data_prefix',
        )
        return [
            dict(img_id=name, img_path=image, map_path=path)
            for name, image, path in zip(names, images, maps, strict=True)
        ]

    def image_size(self, info: dict) -> tuple[int, int]:
        """Height and width from the header of the map, or of the image."""
        try:
            width, height = Image.open(info['map_path']).size
        except OSError:
            width, height = Image.open(info['img_path']).size
        return height, width

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [f'Image set: \t{self.image_set!r}', *super().extra_repr()]


def _read_list(folder: str, task: str, name: str, key: str) -> list[str]:
    """The image names in a file of ``ImageSets``."""
    path = osp.join(folder, 'ImageSets', task, f'{name}.txt')
    if not exists(path):
        raise FileNotFoundError(
            f'there is no list of images {path!r}; set data_root and {key}'
        )
    return [x.strip() for x in list_from_file(path) if x.strip()]


def _read_annotation(path: str) -> dict:
    """Image size, and names, boxes and difficult marks of all objects."""
    try:
        root = ElementTree.parse(path).getroot()
        objects = root.findall('object')
        boxes = [
            [float(x.find('bndbox').findtext(corner)) for corner in _CORNERS]
            for x in objects
        ]
        return dict(
            height=int(root.findtext('size/height')),
            width=int(root.findtext('size/width')),
            names=[x.findtext('name') for x in objects],
            boxes=np.array(boxes).reshape(-1, 4) - [1, 1, 0, 0],
            difficult=np.array(
                [x.findtext('difficult', '0') == '1' for x in objects], bool
            ),
        )
    except (SyntaxError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f'the annotations {path!r} are damaged or not in the format of '
            f'VOC ({error}); get them again'
        ) from error
