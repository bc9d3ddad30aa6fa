# scikit-learn's 1797 digits, 8x8; 898 train and 899 test, no random split.
data_preprocessor = dict(
    num_classes=10,
    mean=[73.2],  # 240 * 0.305; a pixel is 0 to 240
    std=[90.24],
)  # 240 * 0.376
train_pipeline = [
    dict(type='RandomCrop', crop_size=8, padding=1),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type='Digits',
        _scope_='mmdistill',
        split='train',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='InfiniteSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    dataset=dict(
        type='Digits',
        _scope_='mmdistill',
        split='test',
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=1)
test_evaluator = val_evaluator
