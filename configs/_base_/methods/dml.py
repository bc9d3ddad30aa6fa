# Deep mutual learning; T = 2 as in MCL-OKD's experiments, 1 in its own paper.
method = dict(
    task_weight=1.0,
    losses=dict(dml=dict(type='DMLLoss', temperature=2.0, loss_weight=1.0)),
)
