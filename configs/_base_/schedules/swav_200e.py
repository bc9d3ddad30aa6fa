# OSS's Table 4: 200 epochs.
_base_ = './swav_800e.py'
param_scheduler = dict(T_max=200)
train_cfg = dict(max_epochs=200, val_interval=10)
