_base_ = [
    '../_base_/pairs/resnet32x4_resnet8x4.py',
    '../_base_/methods/ft.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/cifar_30e_240e_ft.py',
    '../_base_/runtime.py',
]
model = _base_.method
