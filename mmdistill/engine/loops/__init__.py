"""Training and validation loops."""

from mmdistill.engine.knn import KNNTestLoop, KNNValLoop
from mmdistill.engine.loops.episode_loop import (
    EpisodeTestLoop,
    EpisodeValLoop,
)
from mmdistill.engine.loops.two_phase_train_loop import (
    StagedTrainLoop,
    TwoPhaseTrainLoop,
)

__all__ = [
    'EpisodeTestLoop',
    'EpisodeValLoop',
    'KNNTestLoop',
    'KNNValLoop',
    'StagedTrainLoop',
    'TwoPhaseTrainLoop',
]
