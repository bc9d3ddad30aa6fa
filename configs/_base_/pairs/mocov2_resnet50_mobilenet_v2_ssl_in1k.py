# A ResNet-50 of MoCo-v2 teaches a MobileNetV2 without labels. The student's
# head is the teacher's; K = 65536 (ProtoCPC, A.3.2).
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
        hidden_dim=2048,
        out_dim=128,
        num_layers=2,
        batch_norm=False,
        activation='ReLU',
    ),
    prototypes=None,
)
student = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(type='MobileNetV2'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='ProjectionHead',
        normalize=True,
        hidden_dim=2048,
        out_dim=128,
        num_layers=2,
        batch_norm=False,
        activation='ReLU',
    ),
    prototypes=dict(type='PrototypeHead', num_prototypes=65536),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    # From tools/converters/self_supervised_to_mmdistill.py.
    teacher_ckpt='work_dirs/teachers/mocov2_resnet50.pth',
    task_weight=0.0,
    input_size=(3, 224, 224),
)
