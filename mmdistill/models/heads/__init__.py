"""Heads: projection, prediction, prototypes and a domain classifier."""

from mmdistill.models.heads.feature_classifier import FeatureClassifier
from mmdistill.models.heads.mlp import PredictorHead, ProjectionHead
from mmdistill.models.heads.prototypes import PrototypeHead

__all__ = [
    'FeatureClassifier',
    'PredictorHead',
    'ProjectionHead',
    'PrototypeHead',
]
