"""Metrics, and the functions that they are made of."""

from mmdistill.evaluation.auc import AUC
from mmdistill.evaluation.collapse import (
    effective_rank,
    prototype_usage,
    spread,
)
from mmdistill.evaluation.knn import weighted_knn

__all__ = [
    'AUC',
    'effective_rank',
    'prototype_usage',
    'spread',
    'weighted_knn',
]
