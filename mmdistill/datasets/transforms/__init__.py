"""Transforms of the data pipeline."""

from mmdistill.datasets.transforms.teacher_view import (
    PackPairInputs,
    TeacherView,
)

__all__ = ['PackPairInputs', 'TeacherView']
