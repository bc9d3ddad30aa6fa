"""Transforms of the data pipeline."""

from mmdistill.datasets.transforms.multi_crop import MultiCrop
from mmdistill.datasets.transforms.teacher_view import (
    PackPairInputs,
    TeacherView,
)

__all__ = ['MultiCrop', 'PackPairInputs', 'TeacherView']
