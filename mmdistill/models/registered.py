"""Every model and part of one: importing this fills the registries."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    # mmpretrain prints a line for every optional package it cannot import.
    import mmpretrain.models  # noqa: F401

from mmdistill.models.backbones import *  # noqa: F403
from mmdistill.models.classifiers import (
    LinearProbe,
    PrototypicalNetwork,
    TransferClassifier,
)
from mmdistill.models.dense import FCN, FasterRCNN, MaskRCNN
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
from mmdistill.models.necks import ClassTokensNeck, FlattenNeck
from mmdistill.models.preprocessors import (
    BatchAugmentPreprocessor,
    DetectionPreprocessor,
    MultiCropPreprocessor,
)
from mmdistill.models.pretrained import Pretrained
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)
from mmdistill.models.zoo import NetworkBackbone, NetworkClassifier

__all__ = [
    'FCN',
    'OSS',
    'BatchAugmentPreprocessor',
    'ClassTokensNeck',
    'CoCoRD',
    'DetectionPreprocessor',
    'FasterRCNN',
    'FeatureQueue',
    'FlattenNeck',
    'InstanceBank',
    'LinearProbe',
    'MaskRCNN',
    'MultiCropPreprocessor',
    'NetworkBackbone',
    'NetworkClassifier',
    'OfflineDistiller',
    'OnlineDistiller',
    'Pretrained',
    'PrototypicalNetwork',
    'Representation',
    'RepresentationReader',
    'SelfDistiller',
    'SelfSupervisedEncoder',
    'TransferClassifier',
]
