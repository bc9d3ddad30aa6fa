_base_ = [
    '../_base_/networks/dino_resnet50_in1k.py',
    '../_base_/methods/dino.py',
    '../_base_/datasets/imagenet_multicrop_dino.py',
    '../_base_/schedules/dino_100e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
