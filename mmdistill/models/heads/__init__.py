"""Heads between a feature and a loss."""

from mmdistill.models.heads.mlp import PredictorHead, ProjectionHead

__all__ = ['PredictorHead', 'ProjectionHead']
