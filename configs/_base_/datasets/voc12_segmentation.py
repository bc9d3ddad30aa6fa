# VOC12's 1,464 maps of train and 1,449 of val. Scales of 0.5 to 2, crops of
# 512 and flips are our choice; image_set='trainaug' adds the maps of SBD.
train_pipeline = [
    dict(type='LoadRGBImage'),
    dict(type='LoadSemanticMap'),
    dict(
        type='VisionTransforms',
        transforms=[
            dict(
                type='ScaleJitter',
                target_size=(512, 512),
                scale_range=(0.5, 2.0),
            ),
            dict(
                type='RandomCrop',
                size=512,
                pad_if_needed=True,
                fill=dict(Mask=255, others=0),
            ),
            dict(type='RandomHorizontalFlip', p=0.5),
        ],
    ),
    dict(type='PackDenseInputs'),
]
test_pipeline = [
    dict(type='LoadRGBImage'),
    dict(type='LoadSemanticMap'),
    dict(type='PackDenseInputs'),
]
# 16 images a step on one GPU; with W processes divide by W.
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='VOCSegmentation',
        _scope_='mmdistill',
        data_root='data/VOCdevkit/VOC2012',
        image_set='train',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='VOCSegmentation',
        _scope_='mmdistill',
        data_root='data/VOCdevkit/VOC2012',
        image_set='val',
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='MeanIoU', num_classes=21)
test_evaluator = val_evaluator
