# Four thin ResNet-8 (5k parameters each) on 8x8 digits.
student = dict(
    type='ImageClassifier',
    backbone=dict(
        type='CIFARResNet', depth=8, widths=(4, 4, 8, 16), in_channels=1
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=16, init_cfg=None
    ),
)
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(1, 8, 8),
)
