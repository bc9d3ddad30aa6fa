# Peng et al., ICCV 2019, in the neighbour form that the tables used; weight of
# ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0,
    losses=dict(
        cc=dict(
            type='CCLoss', embed_dim=128, form='neighbour', loss_weight=0.02
        )
    ),
)
