# Chen et al., CVPR 2021: lambda_1 = 0.8 (supplement, Table 2), lambda_2 = 0.05
# (our choice).
method = dict(
    task_weight=1.0,
    losses=dict(
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
