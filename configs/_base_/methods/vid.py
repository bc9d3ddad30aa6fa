# Ahn et al., CVPR 2019: all stages; weight of ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0,
    losses=dict(
        vid=dict(
            type='VIDLoss', maps='stages', init_variance=5.0, loss_weight=1.0
        )
    ),
)
