_base_ = [
    '../_base_/peers/resnet34_in1k.py',
    '../_base_/methods/okddip.py',
    '../_base_/datasets/imagenet_peers.py',
    '../_base_/schedules/imagenet_online_100e.py',
    '../_base_/runtime.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
