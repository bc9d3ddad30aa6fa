_base_ = [
    '../_base_/pairs/resnet50_resnet18_oss_in1k.py',
    '../_base_/methods/swav_bs4096.py',
    '../_base_/datasets/imagenet_multicrop.py',
    '../_base_/schedules/swav_bs4096_100e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
# On one GPU; with W processes divide by W.
train_dataloader = dict(batch_size=4096)
