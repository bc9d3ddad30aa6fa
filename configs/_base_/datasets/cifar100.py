# CIFAR-100 as in the RepDistiller benchmark (CRD, ICLR 2020).
data_preprocessor = dict(
    num_classes=100,
    mean=[129.3105, 124.1085, 112.404],  # 255 * (0.5071, 0.4867, 0.4408)
    std=[68.2125, 65.4075, 70.4055],  # 255 * (0.2675, 0.2565, 0.2761)
    to_rgb=False,
)
train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(
        type='CIFAR100',
        _scope_='mmdistill',
        data_root='data/cifar100',
        split='train',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=4,
    dataset=dict(
        type='CIFAR100',
        _scope_='mmdistill',
        data_root='data/cifar100',
        split='test',
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
