"""Students that leave: as checkpoints, in other layouts, as graphs."""

from mmdistill.export.checkpoint import student_checkpoint

__all__ = ['student_checkpoint']
