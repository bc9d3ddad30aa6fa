_base_ = [
    '../_base_/pairs/swav_resnet50_resnet18_ssl_in1k.py',
    '../_base_/methods/off_kd_drop.py',
    '../_base_/datasets/imagenet_multicrop.py',
    '../_base_/schedules/swav_130e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
