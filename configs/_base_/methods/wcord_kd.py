# WCoRD + KD, the combined row of the tables.
method = dict(
    task_weight=1.0,
    losses=dict(
        kd=dict(type='KDLoss', temperature=4.0, loss_weight=1.0),
        gckt=dict(
            type='GCKTLoss',
            form='nce',
            embed_dim=128,
            num_negatives=16384,
            temperature=0.07,
            momentum=0.5,
            loss_weight=0.8,
        ),
        lckt=dict(
            type='LCKTLoss',
            epsilon=0.05,
            iterations=50,
            critic='gckt',
            center=True,
            loss_weight=0.05,
        ),
    ),
)
