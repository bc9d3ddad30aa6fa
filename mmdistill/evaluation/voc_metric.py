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

    ``voc/AP50`` and ``voc/AP75`` are means over classes at one IoU threshold,
    ``voc/AP`` is the mean over all thresholds, as detectron2 reports VOC. A
    detection is matched to the object of its class that it overlaps most.
    Further detections of the same object are false positives; detections of
    difficult objects are ignored. Classes without an object are left out, as
    are images that could not be decoded.

    Paper: Everingham et al., The Pascal Visual Object Classes (VOC)
    Challenge, IJCV 88, 2010, section 4.2,
    https://doi.org/10.1007/s11263-009-0275-4.

    Args:
        iou_thrs: IoU thresholds; a match needs an IoU strictly above.
        use_07_metric: mean precision at 11 recall points, as for VOC2007;
            otherwise the area under the curve, as from 2010 on.
        collect_device, prefix: as in MMEngine's ``BaseMetric``.
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

    @staticmethod
    def reported(
        iou_thrs: Sequence[float] = IOU_THRESHOLDS, **_: Any
    ) -> list[str]:
        """Names of what it reports, by its settings; see `doctor`."""
        numbers = [round(100 * threshold) for threshold in iou_thrs]
        return ['AP', *(f'AP{n}' for n in numbers if n in (50, 75))]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match the detections of a batch to objects and store the result."""
        for sample in data_samples:
            kept = _match(sample['pred_instances'], sample['gt_instances'])
            self.results.append(dict(kept, corrupt=sample['corrupt']))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """``AP``, and ``AP50`` and ``AP75`` if iou_thrs has 0.5 and 0.75."""
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
        # Number the objects over all images.
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
        """Average precision of a class at each IoU threshold."""
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
    """Area under the precision-recall curve, or its mean at 11 points.

    The curve is made non-increasing first.

    Shape:
        recall, precision: (n,); entry i is for the i + 1 best detections.
    """
    # Precision at a recall is the maximum at this or any higher recall.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if use_07_metric:
        best = np.append(best, 0.0)
        points = np.arange(0.0, 1.1, 0.1)
        return float(best[np.searchsorted(recall, points)].mean())
    return float((np.diff(recall, prepend=0.0) * best).sum())


def _judge(
    hit: np.ndarray, objects: np.ndarray, difficult: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives; matches of difficult objects are neither."""
    right = np.zeros(len(hit), bool)
    candidates = np.flatnonzero(hit & ~difficult)
    _, first = np.unique(objects[candidates], return_index=True)
    right[candidates[first]] = True
    return right, ~right & ~(hit & difficult)


def _match(found: dict, truth: dict) -> dict[str, Any]:
    """Match an image's detections to its objects.

    Returns for each detection its score, its label, the largest overlap with
    an object of its class, that object's number and whether it is difficult;
    and for the image the number of objects and the labels of those that count.
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
