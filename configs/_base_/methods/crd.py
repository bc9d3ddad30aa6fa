# Tian et al., ICLR 2020; weight of ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0,
    losses=dict(
        crd=dict(
            type='CRDLoss',
            embed_dim=128,
            num_negatives=16384,
            temperature=0.07,
            momentum=0.5,
            loss_weight=0.8,
        )
    ),
)
