# SwAV of ProtoCPC's Table 4: 100 epochs.
_base_ = './swav_800e.py'
param_scheduler = dict(T_max=100)
train_cfg = dict(max_epochs=100, val_interval=10)
