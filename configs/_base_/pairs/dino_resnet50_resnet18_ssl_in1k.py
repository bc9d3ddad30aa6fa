# A ResNet-50 of DINO teaches a ResNet-18 without labels. The teacher is the
# published file's: a 2-layer head with BatchNorm, 60000 prototypes with
# lengths. The student's head is the teacher's (ProtoCPC, A.3.2), whose K is
# 65536: with the teacher's own prototypes (Table 9) it has to be the file's,
# so it is 60000 throughout.
teacher = dict(
    type='SelfSupervisedEncoder',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
    ),
    backbone=dict(type='ResNet', depth=50),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='ProjectionHead',
        bias=True,
        normalize=True,
        hidden_dim=4096,
        out_dim=256,
        num_layers=2,
        batch_norm=True,
        activation='GELU',
    ),
    prototypes=dict(
        type='PrototypeHead', num_prototypes=60000, weight_norm=True
    ),
)
student = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='ProjectionHead',
        normalize=True,
        hidden_dim=4096,
        out_dim=256,
        num_layers=2,
        batch_norm=True,
        activation='GELU',
    ),
    prototypes=dict(type='PrototypeHead', num_prototypes=60000),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    # From tools/converters/self_supervised_to_mmdistill.py.
    teacher_ckpt='work_dirs/teachers/dino_resnet50.pth',
    task_weight=0.0,
    input_size=(3, 224, 224),
)
