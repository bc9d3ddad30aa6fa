# The student, distilled with ProtoCPC: a detector's backbone is to come of it.
_base_ = [
    '../_base_/pairs/resnet18_resnet18_digits.py',
    '../_base_/methods/protocpc.py',
    '../_base_/datasets/digits_32.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = _base_.method
