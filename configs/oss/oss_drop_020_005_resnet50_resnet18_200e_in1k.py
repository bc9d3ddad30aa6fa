# Table 8: dropout 0.2 and 0.05.
_base_ = [
    '../_base_/pairs/resnet50_resnet18_oss_in1k.py',
    '../_base_/methods/oss.py',
    '../_base_/datasets/imagenet_multicrop.py',
    '../_base_/schedules/swav_200e.py',
    '../_base_/runtime_ssl.py',
]
dropout = (0.2, 0.05)
model = _base_.method
model['student']['head']['dropout'] = dropout
model['teacher']['head']['dropout'] = dropout
default_hooks = _base_.method_hooks
