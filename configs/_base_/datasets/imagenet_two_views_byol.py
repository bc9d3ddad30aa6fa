# BYOL's two views, as MMPretrain has them: they differ in blur and
# solarisation.
_base_ = './imagenet_two_views_mocov2.py'
common = [
    dict(
        type='RandomResizedCrop',
        scale=224,
        interpolation='bicubic',
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        transforms=dict(
            type='ColorJitter',
            brightness=0.4,
            contrast=0.4,
            saturation=0.2,
            hue=0.1,
        ),
        prob=0.8,
    ),
    dict(
        type='RandomGrayscale',
        prob=0.2,
        keep_channels=True,
        channel_weights=(0.114, 0.587, 0.2989),  # blue, green, red
    ),
]
blur = dict(
    type='GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf'
)
train_pipeline = [
    _base_.load_image,
    dict(
        type='MultiView',
        num_views=[1, 1],
        transforms=[
            [*common, dict(blur, prob=1.0)],
            [
                *common,
                dict(blur, prob=0.1),
                dict(type='Solarize', thr=128, prob=0.2),
            ],
        ],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
