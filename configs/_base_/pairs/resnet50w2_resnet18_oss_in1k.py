# OSS: a twice as wide ResNet-50 learns by SwAV and teaches a ResNet-18.
# Heads with BatchNorm to 128, 3000 shared prototypes. The teacher's is 8192
# wide in the middle, as in SwAV's script for this network.
head = dict(
    type='ProjectionHead',
    hidden_dim=2048,
    out_dim=128,
    num_layers=2,
    batch_norm=True,
)
teacher = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(
        type='ResNet', depth=50, stem_channels=128, base_channels=128
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(head, hidden_dim=8192),
)
student = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=head,
    prototypes=dict(type='PrototypeHead', num_prototypes=3000),
)
model = dict(
    type='OSS',
    student=student,
    teacher=teacher,
    input_size=(3, 224, 224),
)
