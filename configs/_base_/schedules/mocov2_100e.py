# MoCo-v2 for 100 epochs (ProtoCPC, A.3.1).
_base_ = './mocov2_800e.py'
param_scheduler = dict(T_max=100)
train_cfg = dict(max_epochs=100, val_interval=10)
