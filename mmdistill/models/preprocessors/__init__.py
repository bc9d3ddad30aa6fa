"""Data preprocessors: what happens to a batch on the device."""

from mmdistill.models.preprocessors.batch_augment import (
    BatchAugmentPreprocessor,
)

__all__ = ['BatchAugmentPreprocessor']
