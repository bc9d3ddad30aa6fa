_base_ = [
    '../_base_/pairs/resnet50w2_resnet18_oss_in1k.py',
    '../_base_/methods/oss.py',
    '../_base_/datasets/imagenet_multicrop.py',
    '../_base_/schedules/swav_800e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
# All are kept: Fig. 3 probes those of epochs 200 and 400.
default_hooks = dict(
    **_base_.method_hooks, checkpoint=dict(interval=25, max_keep_ckpts=-1)
)
