"""Metrics."""

from mmdistill.evaluation.auc import AUC

__all__ = ['AUC']
