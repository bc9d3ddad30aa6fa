"""Data preprocessors, which process batches on the device."""

from mmdistill.models.preprocessors.batch_augment import (
    BatchAugmentPreprocessor,
)
from mmdistill.models.preprocessors.detection import DetectionPreprocessor
from mmdistill.models.preprocessors.multi_crop_preprocessor import (
    MultiCropPreprocessor,
)

__all__ = [
    'BatchAugmentPreprocessor',
    'DetectionPreprocessor',
    'MultiCropPreprocessor',
]
