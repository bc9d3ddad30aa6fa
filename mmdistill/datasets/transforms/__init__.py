"""Transforms of the data pipeline."""

from mmdistill.datasets.transforms.loading import (
    LoadInstances,
    LoadRGBImage,
    LoadSemanticMap,
)
from mmdistill.datasets.transforms.multi_crop import MultiCrop
from mmdistill.datasets.transforms.teacher_view import (
    PackPairInputs,
    SharedTransforms,
    TeacherView,
)
from mmdistill.datasets.transforms.vision import (
    PackDenseInputs,
    VisionTransforms,
)

__all__ = [
    'LoadInstances',
    'LoadRGBImage',
    'LoadSemanticMap',
    'MultiCrop',
    'PackPairInputs',
    'PackDenseInputs',
    'SharedTransforms',
    'TeacherView',
    'VisionTransforms',
]
