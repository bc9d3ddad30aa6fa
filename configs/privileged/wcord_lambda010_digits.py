# Table 2: lambda_1 = 0.1 (0.8 is wcord_digits.py).
_base_ = './wcord_digits.py'
model = dict(losses=dict(gckt=dict(loss_weight=0.1)))
