# Four DenseNet-40-12 on CIFAR-100 (MCL-OKD, Tables 1 to 3).
student = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARDenseNet', depth=40, growth_rate=12),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        in_channels=132,
        init_cfg=dict(
            type='Kaiming',
            layer='Linear',
            a=2.23606797749979,
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform',
        ),
    ),
)
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(3, 32, 32),
)
