_base_ = [
    '../_base_/pairs/mocov2_resnet50_resnet18_ssl_in1k.py',
    '../_base_/methods/protocpc_ssl.py',
    '../_base_/datasets/imagenet_one_view.py',
    '../_base_/schedules/protocpc_100e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
# ProtoCPC, A.3.3. On one GPU; with W processes divide by W.
train_dataloader = dict(batch_size=512)
default_hooks = _base_.method_hooks
