# For comparison: KD on the class scores of the same pair.
_base_ = './wcord_digits.py'
model = dict(
    losses=dict(
        _delete_=True,
        kd=dict(type='KDLoss', temperature=4.0, loss_weight=1.0),
    )
)
