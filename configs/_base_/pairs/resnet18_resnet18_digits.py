# A ResNet-18 of half the channels teaches one of a quarter, on RGB images: a
# backbone of four stages, from which a detector can start.
neck = dict(type='GlobalAveragePooling')
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=32, base_channels=32),
    neck=neck,
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=256, init_cfg=None
    ),
)
student = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=16, base_channels=16),
    neck=neck,
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=128, init_cfg=None
    ),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/transfer_digits/teacher/student.pth',
    input_size=(3, 32, 32),
)
