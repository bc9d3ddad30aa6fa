# Four VGG-16 on CIFAR-100 (MCL-OKD, Tables 1 to 3): the layers of the authors'
# code, and the zoo's pooling, one mean where theirs has two more maxima.
student = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARVGG', depth=16),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        in_channels=512,
        init_cfg=dict(type='Normal', layer='Linear', std=0.01),
    ),
)
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(3, 32, 32),
)
