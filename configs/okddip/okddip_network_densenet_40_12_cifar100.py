_base_ = [
    '../_base_/peers/densenet_40_12.py',
    '../_base_/methods/okddip.py',
    '../_base_/datasets/cifar100_peers.py',
    '../_base_/schedules/cifar_300e.py',
    '../_base_/runtime.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
