# SEED for 100 epochs (ProtoCPC, Table 5).
_base_ = './seed_200e.py'
param_scheduler = dict(end=100, T_max=95)
train_cfg = dict(max_epochs=100)
