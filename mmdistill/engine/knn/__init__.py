"""Weighted k-NN on features: validation, testing, and a hook for training.

The vote itself is `mmdistill.evaluation.weighted_knn`.
"""

from mmdistill.engine.knn.features import (
    extract_features,
    feature_reader,
    network_of,
)
from mmdistill.engine.knn.knn_evaluation import KNNEvaluation
from mmdistill.engine.knn.knn_hook import KNNHook
from mmdistill.engine.knn.knn_loop import KNNTestLoop, KNNValLoop

__all__ = [
    'KNNEvaluation',
    'KNNHook',
    'KNNTestLoop',
    'KNNValLoop',
    'extract_features',
    'feature_reader',
    'network_of',
]
