# The student alone: the 100 labeled digits (10 a class), 700 steps.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_digits.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = dict(_delete_=True, **_base_.student)
train_dataloader = dict(
    dataset=dict(labelled_per_class=10, drop_unlabelled=True)
)
