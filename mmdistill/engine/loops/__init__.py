"""Training and validation loops."""

from mmdistill.engine.loops.staged_train_loop import StagedTrainLoop

__all__ = ['StagedTrainLoop']
