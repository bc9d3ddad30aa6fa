# COCO 2017 with boxes and masks. Images are resized on the device, by
# model.min_size.
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
        type='CocoDetection',
        _scope_='mmdistill',
        data_root='data/coco',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017'),
        with_masks=True,
        pipeline=train_pipeline,
    ),
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='CocoDetection',
        _scope_='mmdistill',
        data_root='data/coco',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file='data/coco/annotations/instances_val2017.json',
    iou_types=('bbox', 'segm'),
)
test_evaluator = val_evaluator
