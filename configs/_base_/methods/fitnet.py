# Romero et al., FitNets, ICLR 2015: map 2; weight of ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0,
    losses=dict(hint=dict(type='HintLoss', maps=[2], loss_weight=100.0)),
)
