"""Metrics, and the functions behind them."""

from mmdistill.evaluation.auc import AUC
from mmdistill.evaluation.coco import CocoMetric
from mmdistill.evaluation.collapse import (
    effective_rank,
    prototype_usage,
    spread,
)
from mmdistill.evaluation.episodes import (
    classify_episodes,
    mean_and_interval,
)
from mmdistill.evaluation.knn import weighted_knn
from mmdistill.evaluation.mean_iou import MeanIoU
from mmdistill.evaluation.peers import PeerAccuracy
from mmdistill.evaluation.voc import VOCMetric

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
