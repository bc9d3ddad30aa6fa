"""Models: distillers and what they are assembled from."""

from mmdistill.models.backbones import *  # noqa: F403
from mmdistill.models.distillers import CoCoRD, OfflineDistiller
from mmdistill.models.heads import *  # noqa: F403
from mmdistill.models.losses import *  # noqa: F403
from mmdistill.models.memories import FeatureQueue, InstanceBank
from mmdistill.models.preprocessors import BatchAugmentPreprocessor
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)

__all__ = [
    'BatchAugmentPreprocessor',
    'CoCoRD',
    'FeatureQueue',
    'InstanceBank',
    'OfflineDistiller',
    'Representation',
    'RepresentationReader',
]
