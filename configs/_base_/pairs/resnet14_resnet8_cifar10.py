# A ResNet-14 (175k parameters) teaches a half as wide ResNet-8 (20k).
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=14),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=64, init_cfg=None
    ),
)
student = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=8, widths=(8, 8, 16, 32)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=32, init_cfg=None
    ),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/cifar10_short/teacher/student.pth',
    input_size=(3, 32, 32),
)
