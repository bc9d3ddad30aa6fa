"""Self-supervised encoders, and configs of the published ones."""

from mmdistill.models.encoders.encoder_zoo import (
    ENCODER_ZOO,
    dino_deit_small,
    dino_resnet50,
    mocov2_resnet50,
    swav_resnet50,
)
from mmdistill.models.encoders.layouts import (
    LAYOUTS,
    encoder_config,
    from_authors,
)
from mmdistill.models.encoders.self_supervised import SelfSupervisedEncoder

__all__ = [
    'ENCODER_ZOO',
    'LAYOUTS',
    'SelfSupervisedEncoder',
    'dino_deit_small',
    'dino_resnet50',
    'encoder_config',
    'from_authors',
    'mocov2_resnet50',
    'swav_resnet50',
]
