# DeiT-S/16 for self-distillation (ProtoCPC, A.4): a 3-layer head, 65536
# prototypes. Its widths, the start of its weights and the DropPath, which only
# the student has, are DINO's.
_base_ = []  # lets MMEngine import
from mmdistill.models.encoders import dino_deit_small

backbone = dino_deit_small()['backbone']
teacher = dict(
    type='SelfSupervisedEncoder',
    backbone=backbone,
    head=dict(
        type='ProjectionHead',
        hidden_dim=2048,
        out_dim=256,
        num_layers=3,
        batch_norm=False,
        activation='GELU',
        normalize=True,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    ),
    prototypes=dict(type='PrototypeHead', num_prototypes=65536),
)
student = dict(teacher, backbone=dict(backbone, drop_path_rate=0.1))
model = dict(
    type='SelfDistiller',
    student=student,
    teacher=teacher,
    input_size=(3, 224, 224),
)
