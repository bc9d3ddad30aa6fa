# Hinton et al. 2015; weights of the CIFAR-100 tables (ProtoCPC, A.2.3).
method = dict(
    task_weight=0.1,
    losses=dict(kd=dict(type='KDLoss', temperature=4.0, loss_weight=0.9)),
)
