# Four resnet32 on CIFAR-100 (MCL-OKD, Tables 1 to 3 and Fig. 2).
student = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=32, widths=(16, 16, 32, 64)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        in_channels=64,
        init_cfg=None,
    ),
)
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(3, 32, 32),
)
