_base_ = [
    '../_base_/pairs/resnet50_resnet18_oss_in1k.py',
    '../_base_/methods/oss_kd_drop.py',
    '../_base_/datasets/imagenet_multicrop.py',
    '../_base_/schedules/swav_800e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
