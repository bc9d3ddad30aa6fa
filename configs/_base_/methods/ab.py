# Heo et al., AAAI 2019, maps before the activation; first stage only.
method = dict(
    task_weight=1.0,
    losses=dict(ab=dict(type='ABLoss', margin=1.0, maps='stages')),
)
find_unused_parameters = True  # each stage leaves some parameters out
