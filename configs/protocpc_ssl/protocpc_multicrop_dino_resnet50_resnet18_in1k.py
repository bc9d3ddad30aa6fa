_base_ = [
    '../_base_/pairs/dino_resnet50_resnet18_ssl_in1k.py',
    '../_base_/methods/protocpc_ssl_multicrop.py',
    '../_base_/datasets/imagenet_multicrop_dino.py',
    '../_base_/schedules/protocpc_100e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
