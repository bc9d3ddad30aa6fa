# Digits on canvases, 64 x 96, which
# tools/dataset_converters/make_digits_canvas.py writes.
pipeline = [
    dict(type='LoadRGBImage'),
    dict(type='LoadInstances'),
    dict(type='PackDenseInputs'),
]
images = dict(
    type='CocoDetection',
    _scope_='mmdistill',
    data_root='data/digits_canvas',
    data_prefix=dict(img='JPEGImages'),
    pipeline=pipeline,
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(**images, ann_file='annotations/instances_train.json'),
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        **images, ann_file='annotations/instances_val.json', test_mode=True
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file='data/digits_canvas/annotations/instances_val.json',
    iou_types=('bbox',),
)
test_evaluator = val_evaluator
