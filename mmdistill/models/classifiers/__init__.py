"""Classifiers that start from a trained backbone."""

from mmdistill.models.classifiers.linear_probe import LinearProbe
from mmdistill.models.classifiers.transfer_classifier import (
    TransferClassifier,
)

__all__ = ['LinearProbe', 'TransferClassifier']
