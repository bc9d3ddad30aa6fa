# Tung and Mori, ICCV 2019: the last stage; weight of ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0,
    losses=dict(sp=dict(type='SPLoss', maps='last', loss_weight=3000.0)),
)
