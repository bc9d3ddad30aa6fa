# For tools/test.py alone: nothing is trained.
_base_ = [
    '../_base_/networks/mobilenet_v2_in1k.py',
    '../_base_/datasets/imagenet_knn.py',
    '../_base_/runtime_ssl.py',
]
model = dict(
    _delete_=True,
    type='SelfSupervisedEncoder',
    backbone=_base_.backbone,
    neck=_base_.neck,
)
train_dataloader = None
