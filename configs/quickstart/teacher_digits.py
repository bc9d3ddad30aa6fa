# The teacher: all 898 training digits with their labels, 420 steps.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_digits.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = dict(_delete_=True, **_base_.teacher)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=21),
    dict(
        type='CosineAnnealingLR', by_epoch=False, begin=21, end=420, T_max=399
    ),
]
train_cfg = dict(max_iters=420, val_interval=60)
