_base_ = [
    '../_base_/pairs/resnet110_resnet32.py',
    '../_base_/methods/kd_sinkhorn.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = _base_.method
