"""An offline distiller of digits, and a few steps of it."""

from helpers import digits_batch, distiller, tiny_classifier
from mmengine.optim import OptimWrapper, build_optim_wrapper

from mmdistill.registry import MODELS

KD = dict(type='KDLoss')

TEACHER = tiny_classifier(depth=14, widths=(8, 8, 8, 12))

VIT_TEACHER = dict(  # LayerNorm, Dropout and DropPath
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(
            embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=8
        ),
        img_size=8,
        patch_size=4,
        in_channels=1,
        drop_rate=0.3,
        drop_path_rate=0.5,
    ),
    head=dict(type='VisionTransformerClsHead', num_classes=10, in_channels=8),
)


def config(losses=None, **kwargs):
    losses = dict(kd=KD) if losses is None else losses
    cfg = dict(teacher=TEACHER, losses=losses)
    return distiller('OfflineDistiller', **cfg | kwargs)


def build(losses=None, **kwargs):
    return MODELS.build(config(losses, **kwargs))


def optimizer(model) -> OptimWrapper:
    return build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
    )


def train(model, steps=3, size=8):
    wrapper = optimizer(model)
    model.train()
    return [
        model.train_step(digits_batch(size, start=10 * i), wrapper)
        for i in range(steps)
    ]


ALL = dict(
    kd=KD,
    crd=dict(type='CRDLoss', num_negatives=16, embed_dim=8, num_samples=40),
    protocpc=dict(type='ProtoCPCLoss'),
    at=dict(type='ATLoss'),
    rkd=dict(type='RKDLoss'),
)
