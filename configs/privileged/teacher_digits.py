# The teacher: 8x8 pixels, all 898 labels, 420 steps.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_parity_digits.py',
    '../_base_/datasets/digits_parity.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = dict(_delete_=True, **_base_.teacher)
train_pipeline = [
    dict(type='RandomCrop', crop_size=8, padding=1),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    dataset=dict(labelled_per_class=None, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=21),
    dict(
        type='CosineAnnealingLR', by_epoch=False, begin=21, end=420, T_max=399
    ),
]
train_cfg = dict(max_iters=420, val_interval=60)
