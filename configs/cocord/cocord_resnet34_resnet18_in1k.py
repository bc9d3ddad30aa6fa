_base_ = [
    '../_base_/pairs/resnet34_resnet18_in1k.py',
    '../_base_/methods/cocord_in1k.py',
    '../_base_/datasets/imagenet_two_views.py',
    '../_base_/schedules/imagenet_100e.py',
    '../_base_/runtime.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
