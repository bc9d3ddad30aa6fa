# GCKT alone, at the weight that Table 2 found best.
_base_ = './wcord_digits.py'
model = dict(losses=dict(lckt=dict(loss_weight=0.0)))
