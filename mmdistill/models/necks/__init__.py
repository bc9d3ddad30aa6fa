"""Necks: from a backbone's outputs to one feature vector."""

from mmdistill.models.necks.class_tokens import ClassTokensNeck
from mmdistill.models.necks.flatten import FlattenNeck

__all__ = ['ClassTokensNeck', 'FlattenNeck']
