# Park et al., CVPR 2019; weights of ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0,
    losses=dict(
        rkd=dict(type='RKDLoss', distance_weight=25.0, angle_weight=50.0)
    ),
)
