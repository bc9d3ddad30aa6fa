"""Models: distillers and what they are assembled from."""

from mmdistill.models.backbones import *  # noqa: F403
from mmdistill.models.classifiers import (
    LinearProbe,
    PrototypicalNetwork,
    TransferClassifier,
)
from mmdistill.models.distillers import (
    OSS,
    CoCoRD,
    OfflineDistiller,
    OnlineDistiller,
    SelfDistiller,
)
from mmdistill.models.encoders import SelfSupervisedEncoder
from mmdistill.models.heads import *  # noqa: F403
from mmdistill.models.losses import *  # noqa: F403
from mmdistill.models.memories import FeatureQueue, InstanceBank
from mmdistill.models.necks import FlattenNeck
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
    'FlattenNeck',
    'InstanceBank',
    'LinearProbe',
    'MultiCropPreprocessor',
    'OfflineDistiller',
    'OnlineDistiller',
    'PrototypicalNetwork',
    'Representation',
    'RepresentationReader',
    'SelfDistiller',
    'SelfSupervisedEncoder',
    'TransferClassifier',
]
