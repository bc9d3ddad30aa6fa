from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import mmengine
import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from mmdistill.registry import METRICS
from mmdistill.utils.coco_file import (
    prints_to_log,
    read_coco,
    require_ann_file,
)

_NAMES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')


@METRICS.register_module()
class CocoMetric(BaseMetric):
    """COCO's average precision of boxes and masks, in percent.

    pycocotools computes it on the images of the test set. ``coco/bbox_AP`` is
    the mean over IoU thresholds from 0.5 to 0.95, ``AP50`` and ``AP75`` are at
    one threshold. ``APs``, ``APm`` and ``APl`` are the AP of objects with an
    area below 32^2, up to 96^2 and above; NaN if there is no such object.
    Crowd regions of the annotation file are ignored regions. Images that could
    not be decoded are left out. The test pipeline may resize images, but not
    crop or rotate them.

    Paper: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014,
    https://arxiv.org/abs/1405.0312.

    Args:
        ann_file: the annotation file of the tested `CocoDetection`, relative
            to the current folder.
        iou_types: 'bbox' and 'segm', or one of them.
        classwise: also report each class, as ``coco/bbox_AP_<class>``.
        outfile_prefix: write the detections to ``<prefix>.bbox.json`` and
            ``<prefix>.segm.json``, as COCO's server takes them.
        collect_device, prefix: as in MMEngine's ``BaseMetric``.
    Raises:
        FileNotFoundError: if the annotation file does not exist.
        ValueError: for an unknown IoU type.
    Config:
        val_evaluator=dict(
            type='CocoMetric',
            ann_file='data/coco/annotations/instances_val2017.json',
            iou_types=('bbox', 'segm'))
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str,
        iou_types: Sequence[str] = ('bbox',),
        classwise: bool = False,
        outfile_prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not iou_types or set(iou_types) - {'bbox', 'segm'}:
            raise ValueError(
                "CocoMetric.iou_types are 'bbox' and 'segm', got "
                f'{tuple(iou_types)}'
            )
        # Fail early: the file is read only after the whole test has run.
        require_ann_file(ann_file)
        self.ann_file = ann_file
        self.iou_types = iou_types
        self.classwise = classwise
        self.outfile_prefix = outfile_prefix
        self._coco: COCO | None = None

    @staticmethod
    def reported(
        iou_types: Sequence[str] = ('bbox',),
        classwise: bool = False,
        **_: Any,
    ) -> list[str]:
        """Patterns of what it reports, by its settings; see `doctor`."""
        names = [*_NAMES, *['AP_*'] * classwise]
        return [f'{kind}_{name}' for kind in iou_types for name in names]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Store the detections of a batch, masks as run lengths."""
        for sample in data_samples:
            found = sample['pred_instances']
            kept = dict(
                img_id=sample['img_id'],
                corrupt=sample['corrupt'],
                scores=found['scores'].tolist(),
                labels=found['labels'].tolist(),
            )
            if 'bbox' in self.iou_types:
                kept['bbox'] = _xywh(
                    found['bboxes'], sample['img_shape'], sample['ori_shape']
                ).tolist()
            if 'segm' in self.iou_types:
                kept['segm'] = _run_lengths(
                    found['masks'], sample['ori_shape']
                )
            self.results.append(kept)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Run pycocotools on the detections of all processes."""
        if self._coco is None:
            self._coco = read_coco(self.ann_file)
        # Drop duplicates: samplers repeat images to fill the last batch.
        seen = {r['img_id']: r for r in results if not r['corrupt']}
        category_ids = self.dataset_meta.get('category_ids', ())
        if seen.keys() - self._coco.imgs or {*category_ids} - {
            *self._coco.cats
        }:
            raise ValueError(
                'the images that were tested, or their classes, are not '
                f'those of {self.ann_file!r}; CocoMetric.ann_file must be '
                'the ann_file of the CocoDetection that is tested'
            )
        metrics = {}
        for iou_type in self.iou_types:
            detections = _as_coco(seen.values(), iou_type, category_ids)
            if self.outfile_prefix is not None:
                mmengine.dump(
                    detections, f'{self.outfile_prefix}.{iou_type}.json'
                )
            values = self._evaluate(detections, iou_type, sorted(seen))
            metrics.update(
                {f'{iou_type}_{name}': values[name] for name in values}
            )
        return metrics

    def _evaluate(
        self, detections: list[dict], iou_type: str, img_ids: list
    ) -> dict[str, float]:
        meta = self.dataset_meta
        classes = meta['classes'] if self.classwise else ()
        if not detections:
            print_log(
                f'nothing was detected in {len(img_ids)} images: all '
                f'{iou_type} metrics are 0',
                'current',
                logging.WARNING,
            )
            names = [*_NAMES, *(f'AP_{name}' for name in classes)]
            return dict.fromkeys(names, 0.0)
        with prints_to_log(logging.DEBUG):
            evaluation = COCOeval(
                self._coco, self._coco.loadRes(detections), iou_type
            )
            evaluation.params.imgIds = img_ids
            evaluation.params.catIds = list(meta['category_ids'])
            evaluation.evaluate()
            evaluation.accumulate()
        with prints_to_log():
            evaluation.summarize()
        values = [_percent(x) for x in evaluation.stats[: len(_NAMES)]]
        metrics = dict(zip(_NAMES, values, strict=True))
        # Axes: IoU, recall, class, area, max detections; pycocotools sorts the
        # class ids.
        precision = evaluation.eval['precision'][:, :, :, 0, -1]
        order = sorted(meta['category_ids'])
        for name, number in zip(classes, meta['category_ids'], strict=False):
            of_class = precision[:, :, order.index(number)]
            metrics[f'AP_{name}'] = _percent(of_class.mean())
        return metrics


def _percent(value: float) -> float:
    """Percent; NaN for the -1 that pycocotools gives without any object."""
    return 100 * float(value) if value > -1 else math.nan


def _as_coco(
    results: Sequence[dict], iou_type: str, category_ids: Sequence[int]
) -> list[dict]:
    """One dict per detection, in COCO's results format."""
    key = dict(bbox='bbox', segm='segmentation')[iou_type]
    return [
        {
            'image_id': result['img_id'],
            'category_id': category_ids[label],
            'score': score,
            key: place,
        }
        for result in results
        for label, score, place in zip(
            result['labels'], result['scores'], result[iou_type], strict=True
        )
    ]


def _xywh(boxes: Tensor, shape: Sequence, ori_shape: Sequence) -> Tensor:
    """(x1, y1, x2, y2) in the resized image to (x, y, w, h) in the file's."""
    scale = [ori / given for ori, given in zip(ori_shape, shape, strict=True)]
    boxes = boxes.double() * boxes.new_tensor(scale[::-1] * 2).double()
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)


def _run_lengths(masks: Tensor, ori_shape: Sequence) -> list[dict]:
    """Masks (n, H, W) as COCO's run lengths, at the size of the file."""
    masks = masks.to(torch.uint8)
    if len(masks) and tuple(masks.shape[1:]) != tuple(ori_shape):
        masks = F.interpolate(masks[None], size=tuple(ori_shape))[0]
    # pycocotools needs (H, W, n) in Fortran memory order.
    columns = masks.transpose(1, 2).contiguous().cpu().numpy()
    encoded = coco_mask.encode(columns.transpose(2, 1, 0))
    return [dict(rle, counts=rle['counts'].decode()) for rle in encoded]
