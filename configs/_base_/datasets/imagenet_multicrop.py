# SwAV's views, 2x224 + 6x96, which OSS takes over.
_base_ = './imagenet_knn.py'
changes = [
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        transforms=dict(
            type='ColorJitter',
            brightness=0.8,
            contrast=0.8,
            saturation=0.8,
            hue=0.2,
        ),
        prob=0.8,
    ),
    dict(
        type='RandomGrayscale',
        prob=0.2,
        keep_channels=True,
        channel_weights=(0.114, 0.587, 0.2989),  # blue, green, red
    ),
    dict(
        type='GaussianBlur',
        magnitude_range=(0.1, 2.0),
        magnitude_std='inf',
        prob=0.5,
    ),
]
train_pipeline = [
    _base_.load_image,
    dict(
        type='MultiCrop',
        num_global=2,
        num_local=6,
        global_size=224,
        local_size=96,
        global_scale=(0.14, 1.0),
        local_scale=(0.05, 0.14),
        global_transforms=changes,
        local_transforms=changes,
        backend='pillow',
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
