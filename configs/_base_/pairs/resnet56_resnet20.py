# resnet56 teaches resnet20 on CIFAR-100 (ProtoCPC and CoCoRD, Table 1).
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=56, widths=(16, 16, 32, 64)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=64, init_cfg=None
    ),
)
student = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=20, widths=(16, 16, 32, 64)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=64, init_cfg=None
    ),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/resnet56_cifar100/student.pth',
    input_size=(3, 32, 32),
)
