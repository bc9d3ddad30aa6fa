# A DeiT-S/16, trained without labels, and a classifier for ImageNet.
_base_ = []  # lets MMEngine import
from mmdistill.models.encoders import dino_deit_small

backbone = dino_deit_small()['backbone']
neck = None
model = dict(
    type='TransferClassifier',
    backbone=backbone,
    neck=neck,
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=384,
        init_cfg=dict(type='Normal', layer='Linear', std=0.01),
    ),
    # Say which on the command line:
    # --cfg-options model.checkpoint=work_dirs/<run>/student.pth
    checkpoint='work_dirs/pretrained/deit_small.pth',
)
