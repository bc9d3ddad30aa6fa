# A twice as wide ResNet-50, trained without labels, and a classifier for
# ImageNet.
backbone = dict(type='ResNet', depth=50, stem_channels=128, base_channels=128)
neck = dict(type='GlobalAveragePooling')
model = dict(
    type='TransferClassifier',
    backbone=backbone,
    neck=neck,
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=4096,
        init_cfg=dict(type='Normal', layer='Linear', std=0.01),
    ),
    # Say which on the command line:
    # --cfg-options model.checkpoint=work_dirs/<run>/student.pth
    checkpoint='work_dirs/pretrained/resnet50w2.pth',
)
