_base_ = [
    '../_base_/peers/resnet8_digits.py',
    '../_base_/methods/dml.py',
    '../_base_/datasets/digits_peers.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = _base_.method
