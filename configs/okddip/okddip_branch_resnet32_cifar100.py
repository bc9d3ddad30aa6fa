_base_ = [
    '../_base_/peers/resnet32.py',
    '../_base_/methods/okddip.py',
    '../_base_/datasets/cifar100_peers.py',
    '../_base_/schedules/cifar_300e.py',
    '../_base_/runtime.py',
]
model = dict(**_base_.method, mode='branch', cut=2)
default_hooks = _base_.method_hooks
