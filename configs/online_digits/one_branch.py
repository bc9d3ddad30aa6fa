_base_ = [
    '../_base_/peers/resnet8_digits.py',
    '../_base_/methods/one.py',
    '../_base_/datasets/digits_peers.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = dict(**_base_.method, mode='branch', cut=2)
