from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torchvision.ops import box_iou

from mmdistill.registry import METRICS

#: 0.5, 0.55, ..., 0.95.
IOU_THRESHOLDS = tuple(i / 100 for i in range(50, 100, 5))


@METRICS.register_module()
class VOCMetric(BaseMetric):
    """VOC's average precision of boxes, in percent.

    ``voc/AP50`` and ``voc/AP75`` are means over classes at one IoU, ``voc/AP``
    the mean over all IoUs, as detectron2 reports VOC. A detection counts for
    the object of its class that it overlaps most; the second one of an object
    is wrong, and those of difficult objects do not count. Classes without an
    object are left out, and so are images that could not be decoded.

    Paper: Everingham et al., The Pascal Visual Object Classes (VOC)
    Challenge, IJCV 88, 2010, section 4.2.

    Args:
        iou_thrs: a detection is right above them, not at them.
        use_07_metric: the mean precision at 11 recalls, as for VOC2007; else
            the area under the curve, as from 2010 on.
        collect_device, prefix: as of MMEngine's ``BaseMetric``.
    Config:
        val_evaluator=dict(type='VOCMetric', use_07_metric=True)
    """

    default_prefix = 'voc'

    def __init__(
        self,
        iou_thrs: Sequence[float] = IOU_THRESHOLDS,
        use_07_metric: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.iou_thrs = iou_thrs
        self.use_07_metric = use_07_metric

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep which object each detection of a batch is nearest to."""
        for sample in data_samples:
            kept = _match(sample['pred_instances'], sample['gt_instances'])
            self.results.append(dict(kept, corrupt=sample['corrupt']))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """``AP``, and ``AP50`` and ``AP75`` where those IoUs are asked for."""
        results = [result for result in results if not result['corrupt']]
        if not any(len(result['counted']) for result in results):
            print_log(
                f'{len(results)} images have no object: all metrics are 0',
                'current',
                logging.WARNING,
            )
            return self._named(np.zeros(len(self.iou_thrs)))
        found = {
            name: np.concatenate([result[name] for result in results])
            for name in ('scores', 'labels', 'overlap', 'difficult', 'counted')
        }
        # One number for each object of all images.
        ends = np.cumsum([result['objects'] for result in results])
        found['object'] = np.concatenate(
            [
                end - result['objects'] + result['nearest']
                for end, result in zip(ends, results, strict=True)
            ]
        )
        classes, positives = np.unique(found['counted'], return_counts=True)
        table = [
            self._of_class(found, number, count)
            for number, count in zip(classes, positives, strict=True)
        ]
        return self._named(np.mean(table, axis=0))

    def _of_class(
        self, found: dict[str, np.ndarray], number: int, positives: int
    ) -> list[float]:
        """Average precision of a class at each IoU."""
        own = np.flatnonzero(found['labels'] == number)
        own = own[np.argsort(-found['scores'][own], kind='stable')]
        values = []
        for threshold in self.iou_thrs:
            right, wrong = _judge(
                found['overlap'][own] > threshold,
                found['object'][own],
                found['difficult'][own],
            )
            right, wrong = right.cumsum(), wrong.cumsum()
            values.append(
                average_precision(
                    right / positives,
                    right / np.maximum(right + wrong, 1),
                    self.use_07_metric,
                )
            )
        return values

    def _named(self, means: np.ndarray) -> dict[str, float]:
        metrics = dict(AP=100 * float(means.mean()))
        for threshold, value in zip(self.iou_thrs, means, strict=True):
            if round(100 * threshold) in (50, 75):
                metrics[f'AP{round(100 * threshold)}'] = 100 * float(value)
        return metrics


def average_precision(
    recall: np.ndarray, precision: np.ndarray, use_07_metric: bool = False
) -> float:
    """The area under a curve that was made to fall, or its mean at 11 points.

    Shape:
        recall, precision: (n,), of the best detection, the best two, ....
    """
    # The precision at a recall is the best at this recall or a higher one.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if use_07_metric:
        best = np.append(best, 0.0)
        points = np.arange(0.0, 1.1, 0.1)
        return float(best[np.searchsorted(recall, points)].mean())
    return float((np.diff(recall, prepend=0.0) * best).sum())


def _judge(
    hit: np.ndarray, objects: np.ndarray, difficult: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which detections are right and which are wrong; some are neither."""
    right = np.zeros(len(hit), bool)
    candidates = np.flatnonzero(hit & ~difficult)
    _, first = np.unique(objects[candidates], return_index=True)
    right[candidates[first]] = True
    return right, ~right & ~(hit & difficult)


def _match(found: dict, truth: dict) -> dict[str, Any]:
    """What of an image's detections and objects the metric needs.

    Of each detection its score, label, the overlap with the nearest object of
    its class, that object's number and whether it is difficult; the number of
    objects, and the labels of those that count.
    """
    found = {key: found[key].cpu() for key in ('bboxes', 'scores', 'labels')}
    labels = truth['labels'].cpu()
    difficult = truth.get('difficult', torch.zeros_like(labels)).cpu().bool()
    if len(labels):
        overlap = box_iou(
            found['bboxes'].double(), truth['bboxes'].cpu().double()
        )
        overlap *= found['labels'][:, None] == labels
        overlap, nearest = overlap.max(dim=1)
        marks = difficult[nearest]
    else:
        overlap = torch.zeros(len(found['labels']), dtype=torch.double)
        nearest, marks = overlap.long(), overlap.bool()
    return dict(
        scores=found['scores'].double().numpy(),
        labels=found['labels'].numpy(),
        overlap=overlap.numpy(),
        nearest=nearest.numpy(),
        difficult=marks.numpy(),
        objects=len(labels),
        counted=labels[~difficult].numpy(),
    )
