_base_ = [
    '../_base_/pairs/resnet14_resnet8_cifar10.py',
    '../_base_/methods/cocord.py',
    '../_base_/datasets/cifar10_folder_batched.py',
    '../_base_/schedules/cifar_10e.py',
    '../_base_/runtime.py',
]
model = _base_.method
data_preprocessor = dict(num_views=2)
default_hooks = _base_.method_hooks
