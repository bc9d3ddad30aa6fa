# The teacher: all 898 training digits with their labels.
_base_ = [
    '../_base_/pairs/resnet18_resnet18_digits.py',
    '../_base_/datasets/digits_32.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = dict(_delete_=True, **_base_.teacher)
