# Romero et al., FitNets, ICLR 2015: map 2; weight of ProtoCPC, A.2.3. The
# regressor is that of the code which made the tables: a 1x1 convolution,
# BatchNorm, ReLU.
method = dict(
    task_weight=1.0,
    losses=dict(
        hint=dict(
            type='HintLoss',
            maps=[2],
            batch_norm_relu=True,
            loss_weight=100.0,
        )
    ),
)
