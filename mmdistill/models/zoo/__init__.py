"""Models by name: timm/…, torchvision/…, mmpretrain/…, cifar/…, hf/…."""

from mmdistill.models.zoo.library import (
    ModelInfo,
    ModelNameError,
    WeightsError,
)
from mmdistill.models.zoo.names import (
    LIBRARIES,
    get_model,
    is_model_name,
    list_models,
    model_info,
    resolve_model,
)
from mmdistill.models.zoo.network_backbone import NetworkBackbone
from mmdistill.models.zoo.network_classifier import NetworkClassifier

__all__ = [
    'LIBRARIES',
    'ModelInfo',
    'ModelNameError',
    'NetworkBackbone',
    'NetworkClassifier',
    'WeightsError',
    'get_model',
    'is_model_name',
    'list_models',
    'model_info',
    'resolve_model',
]
