# CRD + KD, the combined row of the CIFAR-100 tables.
method = dict(
    task_weight=1.0,
    losses=dict(
        kd=dict(type='KDLoss', temperature=4.0, loss_weight=1.0),
        crd=dict(
            type='CRDLoss',
            embed_dim=128,
            num_negatives=16384,
            temperature=0.07,
            momentum=0.5,
            loss_weight=0.8,
        ),
    ),
)
