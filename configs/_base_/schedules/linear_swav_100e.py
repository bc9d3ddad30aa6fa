# Linear evaluation of SwAV, and so of OSS, batch 256, as in SwAV's code.
_base_ = './linear_100e.py'
optim_wrapper = dict(optimizer=dict(weight_decay=1e-6))
