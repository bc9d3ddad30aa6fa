# Encoders of 8x8 digits: a ResNet-14 and a thin ResNet-8, heads to 32, 128
# prototypes.
head = dict(type='ProjectionHead', num_layers=2, hidden_dim=64, out_dim=32)
prototypes = dict(type='PrototypeHead', num_prototypes=128)
teacher = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(type='CIFARResNet', depth=14, in_channels=1),
    neck=dict(type='GlobalAveragePooling'),
    head=head,
    prototypes=prototypes,
)
student = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(
        type='CIFARResNet', depth=8, widths=(4, 4, 8, 16), in_channels=1
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=head,
    prototypes=prototypes,
)
model = dict(input_size=(1, 8, 8))
