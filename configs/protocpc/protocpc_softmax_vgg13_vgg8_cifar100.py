_base_ = [
    '../_base_/pairs/vgg13_vgg8.py',
    '../_base_/methods/protocpc_softmax.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = _base_.method
