"""Classifiers for linear probing, fine-tuning and few-shot episodes."""

from mmdistill.models.classifiers.linear_probe import LinearProbe
from mmdistill.models.classifiers.prototypical_network import (
    PrototypicalNetwork,
)
from mmdistill.models.classifiers.transfer_classifier import (
    TransferClassifier,
)

__all__ = ['LinearProbe', 'PrototypicalNetwork', 'TransferClassifier']
