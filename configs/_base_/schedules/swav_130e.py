# OSS's off.KD-Drop: 130 epochs, as CompRess; the rest is SwAV's (our choice).
_base_ = './swav_800e.py'
param_scheduler = dict(T_max=130)
train_cfg = dict(max_epochs=130, val_interval=10)
