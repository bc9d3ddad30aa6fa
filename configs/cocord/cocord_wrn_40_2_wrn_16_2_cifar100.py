_base_ = [
    '../_base_/pairs/wrn_40_2_wrn_16_2.py',
    '../_base_/methods/cocord.py',
    '../_base_/datasets/cifar100_two_views.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
