# Four networks of the few-shot papers on 28x28 characters (MCL-OKD, Table 5),
# each with an auxiliary classifier over the training classes. A leaf says how
# many these are, and what an episode is.
student = dict(
    type='PrototypicalNetwork',
    backbone=dict(type='ConvNet4', in_channels=1),
    neck=dict(type='FlattenNeck'),
    head=dict(type='LinearClsHead', in_channels=64, init_cfg=None),
)
model = dict(
    type='OnlineDistiller',
    student=student,
    num_peers=4,
    mode='network',
    input_size=(1, 28, 28),
)
