from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmdistill.registry import METRICS


@METRICS.register_module()
class MeanIoU(BaseMetric):
    """Mean intersection over union of semantic segmentation, in percent.

    Pixels are counted over all images: ``seg/mIoU`` is the mean over classes
    of correct / (predicted + true - correct), ``seg/aAcc`` the fraction of
    correct pixels, ``seg/mAcc`` the mean over classes of correct / true.
    Classes that are neither predicted nor present are left out, as are images
    that could not be decoded.

    Args:
        num_classes: C.
        ignore_index: label of pixels that do not count.
        collect_device, prefix: as in MMEngine's ``BaseMetric``.
    Raises:
        ValueError: for a class above C - 1.
    Config:
        val_evaluator=dict(type='MeanIoU', num_classes=21)
    """

    default_prefix = 'seg'

    def __init__(
        self, num_classes: int, ignore_index: int = 255, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    @staticmethod
    def reported(**_: Any) -> list[str]:
        """Names of what it reports, by its settings; see `doctor`."""
        return ['mIoU', 'aAcc', 'mAcc']

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch, one array per image."""
        for sample in data_samples:
            predicted = sample['pred_sem_seg']['data'].flatten()
            true = sample['gt_sem_seg']['data'].to(predicted.device).flatten()
            counted = true != self.ignore_index
            if sample['corrupt']:
                counted = torch.zeros_like(counted)
            predicted, true = predicted[counted], true[counted]
            counts = [
                self._count(true[true == predicted], 'gt'),
                self._count(predicted, 'pred'),
                self._count(true, 'gt'),
            ]
            self.results.append(torch.stack(counts).cpu().numpy())

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Compute the metrics from the summed counts of all images."""
        right, predicted, true = np.sum(results, axis=0)
        return dict(
            mIoU=_mean_ratio(right, true + predicted - right),
            aAcc=_mean_ratio(right.sum(), true.sum()),
            mAcc=_mean_ratio(right, true),
        )

    def _count(self, classes: Tensor, what: str) -> Tensor:
        """Number of pixels per class, (C,)."""
        counts = classes.bincount(minlength=self.num_classes)
        if len(counts) > self.num_classes:
            raise ValueError(
                f'{what}_sem_seg has the class {len(counts) - 1}, but '
                f'MeanIoU(num_classes={self.num_classes}) counts 0 to '
                f'{self.num_classes - 1}; correct num_classes or ignore_index'
            )
        return counts


def _mean_ratio(part: np.ndarray, whole: np.ndarray) -> float:
    """Mean of part / whole in percent where whole > 0; 0 if it never is."""
    part, whole = np.atleast_1d(part), np.atleast_1d(whole)
    some = whole > 0
    if not some.any():
        return 0.0
    return 100 * float((part[some] / whole[some]).mean())
