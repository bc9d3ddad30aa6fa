"""Necks: from a backbone's maps to a feature."""

from mmdistill.models.necks.flatten import FlattenNeck

__all__ = ['FlattenNeck']
