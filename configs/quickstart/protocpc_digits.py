# 100 labels for the student as before; the teacher's answers for all 898.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_digits.py',
    '../_base_/methods/protocpc.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = _base_.method
train_dataloader = dict(dataset=dict(labelled_per_class=10))
