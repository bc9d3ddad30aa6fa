# Digits on canvases with a class for every pixel; 0 is the background. Images
# are made twice as large, their digits as large as those of digits_32.py.
pipeline = [
    dict(type='LoadRGBImage'),
    dict(type='LoadSemanticMap'),
    dict(
        type='VisionTransforms',
        transforms=[dict(type='Resize', size=(128, 192))],
    ),
    dict(type='PackDenseInputs'),
]
images = dict(
    type='VOCSegmentation',
    _scope_='mmdistill',
    data_root='data/digits_canvas',
    classes=('background', *'0123456789'),
    pipeline=pipeline,
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(**images, image_set='train'),
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(**images, image_set='val', test_mode=True),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='MeanIoU', num_classes=11)
test_evaluator = val_evaluator
