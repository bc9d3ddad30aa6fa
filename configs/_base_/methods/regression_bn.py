# Reg-BN: Reg with BatchNorm behind the linear map.
_base_ = './regression.py'
method = dict(losses=dict(reg=dict(batch_norm=True)))
