# VOC07+12 trainval to train, VOC07 test to test. Images are resized on the
# device, by model.min_size.
train_pipeline = [
    dict(type='LoadRGBImage'),
    dict(type='LoadInstances'),
    dict(
        type='VisionTransforms',
        transforms=[dict(type='RandomHorizontalFlip', p=0.5)],
    ),
    dict(type='PackDenseInputs'),
]
test_pipeline = [
    dict(type='LoadRGBImage'),
    dict(type='LoadInstances'),
    dict(type='PackDenseInputs'),
]
# 16 images a step on one GPU; with W processes divide by W.
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='VOCDetection',
        _scope_='mmdistill',
        data_root='data/VOCdevkit',
        image_sets=[('2007', 'trainval'), ('2012', 'trainval')],
        pipeline=train_pipeline,
    ),
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='VOCDetection',
        _scope_='mmdistill',
        data_root='data/VOCdevkit',
        image_sets=[('2007', 'test')],
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
# VOC2007's own measure at 11 recalls, as Detectron2 takes for this test.
val_evaluator = dict(type='VOCMetric', use_07_metric=True)
test_evaluator = val_evaluator
