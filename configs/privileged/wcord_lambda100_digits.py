# Table 2: lambda_1 = 1 (0.8 is wcord_digits.py).
_base_ = './wcord_digits.py'
model = dict(losses=dict(gckt=dict(loss_weight=1.0)))
