# Collaborative learning: labels and consensus count by halves, T = 2, and the
# shared stages get the mean of the branches' gradients.
method = dict(
    task_weight=0.5,
    shared_gradient='mean',
    losses=dict(
        cl_ilr=dict(type='CLILRLoss', temperature=2.0, loss_weight=0.5)
    ),
)
