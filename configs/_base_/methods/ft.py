# Kim et al., NeurIPS 2018, the last stage; the paraphraser learns first.
# Weight of ProtoCPC, A.2.3 (the reference repository has 200).
method = dict(
    task_weight=1.0,
    losses=dict(
        ft=dict(type='FTLoss', rate=0.5, maps='last', loss_weight=500.0)
    ),
)
find_unused_parameters = True  # each stage leaves some parameters out
