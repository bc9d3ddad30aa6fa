# Huang and Wang, 2017: all stages; weight of ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0,
    losses=dict(nst=dict(type='NSTLoss', maps='stages', loss_weight=50.0)),
)
