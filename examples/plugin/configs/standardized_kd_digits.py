# mmdistill's own configs are found by the package's name, from any folder.
_base_ = 'mmdistill::quickstart/kd_digits.py'
model = dict(
    losses=dict(
        kd=dict(
            _delete_=True,
            type='StandardizedKDLoss',
            temperature=2.0,
            loss_weight=2.0,
        )
    )
)
custom_hooks = [dict(type='TimeLimitHook', minutes=30)]
