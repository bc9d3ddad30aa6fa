# Zagoruyko and Komodakis, ICLR 2017; weight of ProtoCPC, A.2.3.
method = dict(
    task_weight=1.0,
    losses=dict(at=dict(type='ATLoss', maps='stages', loss_weight=1000.0)),
)
