# On-the-fly native ensemble with its gate, T = 3.
method = dict(
    task_weight=1.0,
    losses=dict(one=dict(type='ONELoss', temperature=3.0, loss_weight=1.0)),
)
