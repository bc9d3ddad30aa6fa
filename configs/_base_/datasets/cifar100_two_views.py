# CIFAR-100 in two views: the usual crop and flip, drawn twice.
_base_ = './cifar100.py'
train_pipeline = [
    dict(
        type='MultiView',
        num_views=[2],
        transforms=[
            [
                dict(type='RandomCrop', crop_size=32, padding=4),
                dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            ]
        ],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
