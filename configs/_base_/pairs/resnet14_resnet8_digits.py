# A ResNet-14 (175k parameters) teaches a thin ResNet-8 (5k) on 8x8 digits.
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=14, in_channels=1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=64, init_cfg=None
    ),
)
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
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/quickstart/teacher/student.pth',
    input_size=(1, 8, 8),
)
