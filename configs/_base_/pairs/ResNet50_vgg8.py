# ResNet50 teaches vgg8 on CIFAR-100 (ProtoCPC and CoCoRD, Table 2).
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARBottleneckResNet', blocks=(3, 4, 6, 3)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=2048, init_cfg=None
    ),
)
student = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARVGG', depth=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        in_channels=512,
        init_cfg=dict(type='Normal', layer='Linear', std=0.01),
    ),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/ResNet50_cifar100/student.pth',
    input_size=(3, 32, 32),
)
