# MoCo-v2's two views, for MMPretrain's MoCo.
_base_ = './imagenet_one_view.py'
data_preprocessor = dict(
    _delete_=True,
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
load, *view, pack = _base_.train_pipeline
train_pipeline = [
    load,
    dict(type='MultiView', num_views=2, transforms=[view]),
    pack,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
