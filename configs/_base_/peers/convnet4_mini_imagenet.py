# Four networks of the few-shot papers on 84x84 images (MCL-OKD, Table 5),
# each with an auxiliary classifier over the training classes. A leaf says how
# many these are, and what an episode is.
student = dict(
    type='PrototypicalNetwork',
    backbone=dict(type='ConvNet4'),
    neck=dict(type='FlattenNeck'),
    head=dict(type='LinearClsHead', in_channels=1600, init_cfg=None),
)
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(3, 84, 84),
)
