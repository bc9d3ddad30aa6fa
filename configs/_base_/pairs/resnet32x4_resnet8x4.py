# resnet32x4 teaches resnet8x4 on CIFAR-100 (ProtoCPC and CoCoRD, Table 1).
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=32, widths=(32, 64, 128, 256)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=256, init_cfg=None
    ),
)
student = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=8, widths=(32, 64, 128, 256)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=256, init_cfg=None
    ),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/resnet32x4_cifar100/student.pth',
    input_size=(3, 32, 32),
)
