# The student alone: 4x4 pixels and the 20 labels.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_parity_digits.py',
    '../_base_/datasets/digits_parity.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = dict(_delete_=True, **_base_.student)
train_pipeline = [
    dict(type='RandomCrop', crop_size=8, padding=1),
    dict(type='Resize', scale=(4, 4), interpolation='area'),
    dict(type='Resize', scale=(8, 8), interpolation='nearest'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(drop_unlabelled=True, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=train_pipeline[1:]))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=0.03))
