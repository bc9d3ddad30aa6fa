from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from mmdistill.datasets.dense_dataset import (
    BoxCleaner,
    DetectionDataset,
    require_files,
)
from mmdistill.registry import DATASETS
from mmdistill.utils.coco_file import read_coco
from mmdistill.utils.text import shown


@DATASETS.register_module()
class CocoDetection(DetectionDataset):
    """Images with boxes and masks from an annotation file in COCO's format.

    Classes are numbered from 0 in the order of the category ids, which may
    have gaps; ``metainfo['category_ids']`` maps back. Crowd regions are not
    targets; `CocoMetric` reads them from the file and ignores detections in
    them. Boxes are clipped to the image, and boxes of less than a pixel are
    dropped.

    Paper: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014,
    https://arxiv.org/abs/1405.0312.

    Args:
        ann_file: the JSON file, relative to data_root.
        data_prefix: ``dict(img=...)``, the image folder, relative to
            data_root.
        with_masks: also load instance masks.
        subset: ``dict(size=1000, split=0, seed=0)`` selects a part of the
            images: chunk number ``split`` of length ``size`` in a random
            permutation of the sorted image ids, so splits of one seed do not
            overlap. Images without a box are removed afterwards.
        classes: names of the categories to use; None for all.
        keep_empty: keep images without a box in training. Tests keep them
            always.
        corrupt: policy for images that cannot be decoded, 'fail' or 'skip'.
        pipeline, test_mode, indices, lazy_init, ...: as in MMPretrain's
            BaseDataset.
    Raises:
        FileNotFoundError: if the annotation file or images are missing.
        ValueError: if annotations refer to unknown images or categories, a
            class is not in the file, a segmentation is missing, or the subset
            is too large.
    Config:
        dataset=dict(
            type='CocoDetection',
            data_root='data/coco',
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017'),
            subset=dict(size=1000, split=0, seed=0),
            with_masks=True,
            pipeline=train_pipeline)
    """

    def __init__(
        self,
        ann_file: str,
        data_prefix: dict[str, str],
        with_masks: bool = False,
        subset: dict[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.with_masks = with_masks
        self.subset = subset
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per image: path, size, boxes, labels, segmentations."""
        coco = read_coco(self.ann_file)
        self._check(coco)
        self._choose_classes(coco)
        images = [coco.imgs[i] for i in self._choose_images(sorted(coco.imgs))]
        folder = self.data_prefix['img']
        paths = [osp.join(folder, image['file_name']) for image in images]
        require_files(
            paths,
            "complete the folder, or correct data_prefix=dict(img='...')",
        )
        cleaner = BoxCleaner()
        numbers = {c: i for i, c in enumerate(self._metainfo['category_ids'])}
        data_list = [
            dict(
                img_path=path,
                **self._instances(coco, image, numbers, cleaner),
            )
            for image, path in zip(images, paths, strict=True)
        ]
        cleaner.log()
        return data_list

    def _check(self, coco: COCO) -> None:
        """Raise if an annotation has an unknown image or category."""
        for key, known in (
            ('image_id', coco.imgs),
            ('category_id', coco.cats),
        ):
            lost = [
                a for a in coco.dataset['annotations'] if a[key] not in known
            ]
            if lost:
                values = sorted({annotation[key] for annotation in lost})
                raise ValueError(
                    f'{len(lost)} annotations of {self.ann_file!r} have an '
                    f'{key} that the file does not list ({shown(values)}); '
                    'correct the file'
                )

    def _choose_classes(self, coco: COCO) -> None:
        """Set ``classes`` and ``category_ids``."""
        ids = {coco.cats[i]['name']: i for i in sorted(coco.cats)}
        classes = tuple(self._metainfo.get('classes', ids))
        unknown = [name for name in classes if name not in ids]
        if unknown:
            raise ValueError(
                f'{self.ann_file!r} has no category {unknown}, only '
                f'{list(ids)}; correct classes'
            )
        self._metainfo.update(
            classes=classes, category_ids=tuple(ids[name] for name in classes)
        )

    def _choose_images(self, ids: Sequence[int]) -> Sequence[int]:
        """The ids of the subset, sorted."""
        if self.subset is None:
            return ids
        size, split = self.subset['size'], self.subset.get('split', 0)
        seed = self.subset.get('seed', 0)
        if not 0 < (split + 1) * size <= len(ids) or split < 0:
            raise ValueError(
                f'subset={self.subset} needs {(split + 1) * size} images, but '
                f'{self.ann_file!r} has {len(ids)}: split is at most '
                f'{len(ids) // max(size, 1) - 1} for this size'
            )
        # RandomState is the only numpy generator with a frozen stream.
        order = np.random.RandomState(seed).permutation(len(ids))
        chosen = order[split * size : (split + 1) * size]
        return [ids[i] for i in sorted(chosen)]

    def _instances(
        self, coco: COCO, image: dict, numbers: dict, cleaner: BoxCleaner
    ) -> dict:
        """The boxes, labels and segmentations of one image."""
        found = [
            annotation
            for annotation in coco.imgToAnns.get(image['id'], ())
            if not annotation.get('iscrowd')
            and annotation['category_id'] in numbers
        ]
        boxes = np.array([a['bbox'] for a in found], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]  # from (x, y, width, height)
        size = image['height'], image['width']
        boxes, kept = cleaner(boxes, size, image['file_name'])
        found = [a for a, keep in zip(found, kept, strict=True) if keep]
        instances = dict(
            img_id=image['id'],
            height=image['height'],
            width=image['width'],
            boxes=boxes[kept],
            labels=np.array([numbers[a['category_id']] for a in found], int),
        )
        if self.with_masks:
            instances['outlines'] = [self._outline(a) for a in found]
        return instances

    def _outline(self, annotation: dict) -> list | dict:
        """The segmentation of one instance: polygons or run lengths."""
        outline = annotation.get('segmentation')
        if isinstance(outline, list):
            # Drop polygons with fewer than three points; they have no area.
            outline = [polygon for polygon in outline if len(polygon) >= 6]
        if not outline:
            raise ValueError(
                f'annotation {annotation.get("id")} of {self.ann_file!r} has '
                f'no segmentation (image {annotation["image_id"]}); correct '
                'the file, or set with_masks=False'
            )
        return outline
