# Yim et al., CVPR 2017, stem and stages; first stage only, where the
# reference repository does not weight it.
method = dict(
    task_weight=1.0,
    losses=dict(fsp=dict(type='FSPLoss', maps='all', loss_weight=1.0)),
)
find_unused_parameters = True  # each stage leaves some parameters out
