"""Models: distillers and what they are assembled from.

A name is imported when it is first asked for. So `mmdistill.models.losses`
costs the losses alone, not the networks of MMPretrain, which take longer than
all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

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


def __getattr__(name: str) -> Any:
    # Classes have capitals; Python also asks for modules and its own names.
    registered = 'mmdistill.models.registered'
    if name[:1].isupper() and hasattr(import_module(registered), name):
        return getattr(import_module(registered), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
