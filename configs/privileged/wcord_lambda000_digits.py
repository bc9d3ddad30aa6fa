# Table 2: lambda_1 = 0 (0.8 is wcord_digits.py), so no critic that learns.
_base_ = './wcord_digits.py'
model = dict(
    losses=dict(
        gckt=dict(loss_weight=0.0), lckt=dict(critic=None, center=False)
    )
)
