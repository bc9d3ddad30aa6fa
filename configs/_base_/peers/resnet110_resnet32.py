# A frozen resnet110 teaches the leader of four resnet32 (MCL-OKD, Table 4).
_base_ = './resnet32.py'
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=110, widths=(16, 16, 32, 64)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=64, init_cfg=None
    ),
)
model = dict(
    teacher=teacher, teacher_ckpt='work_dirs/resnet110_cifar100/student.pth'
)
