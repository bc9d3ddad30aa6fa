_base_ = [
    '../_base_/networks/dino_deit_small_in1k.py',
    '../_base_/methods/protocpc_self.py',
    '../_base_/datasets/imagenet_multicrop_dino_vit.py',
    '../_base_/schedules/protocpc_vit_100e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
