# A DeiT-S/16, trained without labels, and a classifier for ImageNet.
backbone = dict(
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
)
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
