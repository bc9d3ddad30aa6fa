"""Models: distillers and what they are assembled from."""

from mmdistill.models.backbones import *  # noqa: F403
from mmdistill.models.classifiers import LinearProbe, TransferClassifier
from mmdistill.models.distillers import (
    OSS,
    CoCoRD,
    OfflineDistiller,
    SelfDistiller,
)
from mmdistill.models.encoders import SelfSupervisedEncoder
from mmdistill.models.heads import *  # noqa: F403
from mmdistill.models.losses import *  # noqa: F403
from mmdistill.models.memories import FeatureQueue, InstanceBank
from mmdistill.models.preprocessors import (
    BatchAugmentPreprocessor,
    MultiCropPreprocessor,
)
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)

__all__ = [
    'OSS',
    'BatchAugmentPreprocessor',
    'CoCoRD',
    'FeatureQueue',
    'InstanceBank',
    'LinearProbe',
    'MultiCropPreprocessor',
    'OfflineDistiller',
    'Representation',
    'RepresentationReader',
    'SelfDistiller',
    'SelfSupervisedEncoder',
    'TransferClassifier',
]
