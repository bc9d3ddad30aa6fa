# DINO's views of ConvNets, 2x224 + 6x96 (ProtoCPC, A.4). The scales, which the
# paper does not give, are those that DINO's code advises for ResNet-50.
_base_ = './imagenet_knn.py'
colours = [
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
crops = dict(
    type='MultiCrop',
    num_global=2,
    num_local=6,
    global_size=224,
    local_size=96,
    global_scale=(0.14, 1.0),
    local_scale=(0.05, 0.14),
    global_transforms=[
        [*colours, dict(blur, prob=1.0)],
        [
            *colours,
            dict(blur, prob=0.1),
            dict(type='Solarize', thr=128, prob=0.2),
        ],
    ],
    local_transforms=[*colours, dict(blur, prob=0.5)],
    interpolation='bicubic',
    backend='pillow',
)
train_pipeline = [
    _base_.load_image,
    crops,
    dict(type='PackInputs'),
]
# ProtoCPC, A.4. On one GPU; with W processes divide by W.
train_dataloader = dict(batch_size=512, dataset=dict(pipeline=train_pipeline))
