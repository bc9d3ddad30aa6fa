_base_ = [
    '../_base_/pairs/resnet14_resnet8_cifar10.py',
    '../_base_/methods/protocpc.py',
    '../_base_/datasets/cifar10_folder_batched.py',
    '../_base_/schedules/cifar_10e.py',
    '../_base_/runtime.py',
]
model = _base_.method
