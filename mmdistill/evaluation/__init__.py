"""Metrics, and the functions behind them."""

from mmdistill.evaluation.auc import AUC
from mmdistill.evaluation.classify_episodes import (
    classify_episodes,
    mean_and_interval,
)
from mmdistill.evaluation.coco_metric import CocoMetric
from mmdistill.evaluation.collapse import (
    effective_rank,
    prototype_usage,
    spread,
)
from mmdistill.evaluation.mean_iou import MeanIoU
from mmdistill.evaluation.peer_accuracy import PeerAccuracy
from mmdistill.evaluation.voc_metric import VOCMetric
from mmdistill.evaluation.weighted_knn import weighted_knn

__all__ = [
    'AUC',
    'CocoMetric',
    'MeanIoU',
    'PeerAccuracy',
    'VOCMetric',
    'classify_episodes',
    'effective_rank',
    'mean_and_interval',
    'prototype_usage',
    'spread',
    'weighted_knn',
]
