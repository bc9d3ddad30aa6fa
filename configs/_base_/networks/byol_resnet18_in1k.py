# BYOL of MMPretrain with a ResNet-18 and the heads of its ResNet-50. Several
# processes make their BatchNorm one by sync_bn. MMPretrain's momentum is the
# fraction that moves, here at the start of its cosine.
mlp = dict(
    type='NonLinearNeck',
    hid_channels=4096,
    out_channels=256,
    num_layers=2,
    with_bias=True,
    with_last_bn=False,
    norm_cfg=dict(type='BN1d'),
)
model = dict(
    type='BYOL',
    base_momentum=0.01,
    backbone=dict(
        type='ResNet',
        depth=18,
        norm_cfg=dict(type='BN'),
        zero_init_residual=False,
    ),
    neck=dict(mlp, in_channels=512, with_avg_pool=True),
    head=dict(
        type='LatentPredictHead',
        predictor=dict(mlp, in_channels=256, with_avg_pool=False),
        loss=dict(type='CosineSimilarityLoss'),
    ),
)
sync_bn = 'torch'
