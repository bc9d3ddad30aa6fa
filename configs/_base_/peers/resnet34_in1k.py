# Four ResNet-34 on ImageNet (MCL-OKD, Tables 1 and 2).
student = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=34),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512,
    ),
)
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(3, 224, 224),
)
