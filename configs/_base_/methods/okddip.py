# OKDDip, T = 3: three auxiliary peers and the leader, the last.
method = dict(
    task_weight=1.0,
    losses=dict(
        okddip=dict(
            type='OKDDipLoss', reduction=8, temperature=3.0, loss_weight=1.0
        ),
    ),
)
# The weight of the loss grows for 80 epochs, as in the authors' code.
method_hooks = dict(
    ramp_up=dict(
        type='RampUpHook',
        attribute='losses.okddip.loss_weight',
        end=1.0,
        epochs=80,
    )
)
