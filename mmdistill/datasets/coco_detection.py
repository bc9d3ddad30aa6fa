from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from mmdistill.datasets.transfer import (
    BoxCleaner,
    DetectionDataset,
    require_files,
)
from mmdistill.registry import DATASETS
from mmdistill.utils.coco_file import read_coco
from mmdistill.utils.text import shown


@DATASETS.register_module()
class CocoDetection(DetectionDataset):
    """Images with boxes, and masks, from an annotation file as COCO's.

    Categories are numbered from 0 in the order of their ids, which may have
    gaps; ``metainfo['category_ids']`` leads back. Crowd regions are no
    targets; `CocoMetric` reads them from the file and ignores what lies in
    them. Boxes are clipped to their image, those of less than a pixel dropped.

    Paper: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014.

    Args:
        ann_file: the JSON file, relative to data_root.
        data_prefix: ``dict(img=...)``, the image folder, relative to
            data_root.
        with_masks: also give the masks of instances.
        subset: ``dict(size=1000, split=0, seed=0)`` takes a part of the
            images: the split-th ``size`` of one permutation of all sorted
            image ids, so splits of one seed do not overlap. Images without a
            box are left out of it only afterwards.
        classes: names of the categories to take; all when None.
        keep_empty: train on images without a box, too. A test has all images.
        corrupt: what an image does that cannot be decoded: 'fail' or 'skip'.
        pipeline, test_mode, indices, lazy_init, ...: as of MMPretrain's
            BaseDataset.
    Raises:
        FileNotFoundError: if the annotation file or images are missing.
        ValueError: if annotations name images or categories that the file
            does not have, a class is not in it, an outline is missing, or the
            subset is too large.
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
        """One dict an image: its path and size, boxes, labels, outlines."""
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
        """Every annotation must belong to an image and a category."""
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
        # Of all numpy's generators only this one never changes its numbers.
        order = np.random.RandomState(seed).permutation(len(ids))
        chosen = order[split * size : (split + 1) * size]
        return [ids[i] for i in sorted(chosen)]

    def _instances(
        self, coco: COCO, image: dict, numbers: dict, cleaner: BoxCleaner
    ) -> dict:
        """The targets in an image."""
        found = [
            annotation
            for annotation in coco.imgToAnns.get(image['id'], ())
            if not annotation.get('iscrowd')
            and annotation['category_id'] in numbers
        ]
        boxes = np.array([a['bbox'] for a in found], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]  # they are (x, y, width, height)
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
        """Polygons, or run lengths, of one instance."""
        outline = annotation.get('segmentation')
        if isinstance(outline, list):
            # Two points enclose nothing.
            outline = [polygon for polygon in outline if len(polygon) >= 6]
        if not outline:
            raise ValueError(
                f'annotation {annotation.get("id")} of {self.ann_file!r} has '
                f'no segmentation (image {annotation["image_id"]}); correct '
                'the file, or set with_masks=False'
            )
        return outline
