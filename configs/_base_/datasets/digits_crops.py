# Digits without labels: two full and two small crops, cut on the device.
# Validation is k-NN: training images vote with their labels.
data_preprocessor = dict(
    type='MultiCropPreprocessor',
    mean=[73.2],  # 240 * 0.305; a pixel is 0 to 240
    std=[90.24],  # 240 * 0.376
    num_global=2,
    num_local=2,
    global_size=8,
    local_size=6,
    global_scale=(0.7, 1.0),
    local_scale=(0.4, 0.7),
    flip_prob=0.0,
    brightness=0.2,
    contrast=0.2,
)
pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=128,
    num_workers=0,
    drop_last=True,
    collate_fn=dict(type='batch_collate'),
    dataset=dict(
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(type='Digits', split='train', pipeline=[]),
        pipeline=pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
bank_dataloader = dict(
    batch_size=256,
    num_workers=0,
    dataset=dict(
        type='Digits', _scope_='mmdistill', split='train', pipeline=pipeline
    ),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    dataset=dict(
        type='Digits', _scope_='mmdistill', split='test', pipeline=pipeline
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = []
test_evaluator = []
val_cfg = dict(type='KNNValLoop', bank_dataloader=bank_dataloader, k=(20,))
test_cfg = dict(type='KNNTestLoop', bank_dataloader=bank_dataloader, k=(20,))
