# ImageNet-1k in two views: the usual crop and flip, drawn twice.
_base_ = './imagenet.py'
train_pipeline = [
    _base_.load_image,
    dict(
        type='MultiView',
        num_views=[2],
        transforms=[
            [
                dict(type='RandomResizedCrop', scale=224, backend='pillow'),
                dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            ]
        ],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
