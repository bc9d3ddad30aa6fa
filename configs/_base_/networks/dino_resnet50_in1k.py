# ResNet-50 for self-distillation (ProtoCPC, A.4): a 2-layer head, 65536
# prototypes. Its widths and the start of its weights are DINO's.
student = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(type='ResNet', depth=50),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='ProjectionHead',
        hidden_dim=2048,
        out_dim=256,
        num_layers=2,
        batch_norm=False,
        activation='GELU',
        normalize=True,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
    ),
    prototypes=dict(type='PrototypeHead', num_prototypes=65536),
)
model = dict(type='SelfDistiller', student=student, input_size=(3, 224, 224))
