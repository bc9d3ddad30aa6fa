"""Encoder configs of the published self-supervised teachers."""

from __future__ import annotations

from collections.abc import Callable


def mocov2_resnet50() -> dict:
    """ResNet-50 of MoCo-v2: a 2-layer head to 128, no prototypes.

    Paper: Chen et al., Improved Baselines with Momentum Contrastive Learning,
    2020, https://arxiv.org/abs/2003.04297, section 3.
    """
    return _encoder(
        backbone=dict(type='ResNet', depth=50),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            hidden_dim=2048,
            out_dim=128,
            num_layers=2,
            batch_norm=False,
            activation='ReLU',
        ),
    )


def swav_resnet50(num_prototypes: int = 3000) -> dict:
    """ResNet-50 of SwAV: a 2-layer head with BatchNorm to 128.

    Paper: Caron et al., Unsupervised Learning of Visual Features by
    Contrasting Cluster Assignments, NeurIPS 2020,
    https://arxiv.org/abs/2006.09882, section 4, and the released code,
    https://github.com/facebookresearch/swav.
    """
    return _encoder(
        backbone=dict(type='ResNet', depth=50),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            hidden_dim=2048,
            out_dim=128,
            num_layers=2,
            batch_norm=True,
            activation='ReLU',
        ),
        num_prototypes=num_prototypes,
    )


def dino_resnet50(num_prototypes: int = 60000) -> dict:
    """ResNet-50 of DINO, as published: a 2-layer head with BatchNorm to 256.

    Its last layer is not normalized, so its prototypes have lengths.

    Paper: Caron et al., Emerging Properties in Self-Supervised Vision
    Transformers, ICCV 2021, https://arxiv.org/abs/2104.14294; the sizes are
    those of the published full checkpoint,
    https://github.com/facebookresearch/dino.
    """
    cfg = _encoder(
        backbone=dict(type='ResNet', depth=50),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            hidden_dim=4096,
            out_dim=256,
            num_layers=2,
            batch_norm=True,
            activation='GELU',
        ),
        num_prototypes=num_prototypes,
    )
    cfg['prototypes']['weight_norm'] = True
    return cfg


def dino_deit_small(num_prototypes: int = 65536) -> dict:
    """DeiT-S/16 of DINO: a 3-layer head to 256 on the class token.

    Images need not be 224 pixels. For other sizes MMPretrain resizes the
    position embedding to the exact grid, DINO's code with a factor for a grid
    0.1 patch larger, so features differ slightly from the authors'.

    Paper: as for `dino_resnet50`, section 3.1.
    """
    return _encoder(
        backbone=dict(
            type='VisionTransformer',
            arch=dict(
                embed_dims=384,
                num_layers=12,
                num_heads=6,
                feedforward_channels=1536,
            ),
            img_size=224,
            patch_size=16,
            out_type='cls_token',
        ),
        neck=None,
        head=_DINO_VIT_HEAD,
        num_prototypes=num_prototypes,
    )


#: The encoder functions above by name.
ENCODER_ZOO: dict[str, Callable[..., dict]] = {
    function.__name__: function
    for function in (
        mocov2_resnet50,
        swav_resnet50,
        dino_resnet50,
        dino_deit_small,
    )
}

_DINO_VIT_HEAD = dict(
    hidden_dim=2048,
    out_dim=256,
    num_layers=3,
    batch_norm=False,
    activation='GELU',
)


def _encoder(
    backbone: dict,
    neck: dict | None,
    head: dict,
    num_prototypes: int | None = None,
) -> dict:
    """The shared config: ImageNet's mean and std, type and end of the head."""
    prototypes = None
    if num_prototypes is not None:
        prototypes = dict(type='PrototypeHead', num_prototypes=num_prototypes)
    return dict(
        type='SelfSupervisedEncoder',
        data_preprocessor=dict(
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            to_rgb=True,
        ),
        backbone=backbone,
        neck=neck,
        head=dict(type='ProjectionHead', bias=True, normalize=True, **head),
        prototypes=prototypes,
    )
