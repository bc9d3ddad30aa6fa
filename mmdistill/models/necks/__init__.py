"""Necks: from a backbone's maps to a feature."""

from mmdistill.models.necks.class_tokens import ClassTokensNeck
from mmdistill.models.necks.flatten import FlattenNeck

__all__ = ['ClassTokensNeck', 'FlattenNeck']
