# Your images with boxes in COCO's format: data_root/train.json names files in
# data_root/train, and data_root/val.json those in data_root/val. Images are
# resized on the device, by model.min_size.
data_root = 'data/own_boxes'
num_classes = 10

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
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='CocoDetection',
        data_root=data_root,
        ann_file='train.json',
        data_prefix=dict(img='train'),
        pipeline=train_pipeline,
    ),
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='CocoDetection',
        data_root=data_root,
        ann_file='val.json',
        data_prefix=dict(img='val'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file=f'{data_root}/val.json')
test_evaluator = val_evaluator
