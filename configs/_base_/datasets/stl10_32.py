# STL-10 at 32 pixels, for networks trained on CIFAR (CoCoRD, Table 3): 5,000
# labeled images to train, 8,000 to test. Crops and flips are our choice.
data_preprocessor = dict(
    type='BatchAugmentPreprocessor',
    num_classes=10,
    mean=[
        129.3105,
        124.1085,
        112.404,
    ],  # CIFAR-100's, which the network is used to
    std=[68.2125, 65.4075, 70.4055],
    to_rgb=False,
    crop_padding=4,
    flip_prob=0.5,
)
pipeline = [dict(type='PackInputs')]
images = dict(
    type='STL10',
    _scope_='mmdistill',
    data_root='data/stl10_binary',
    pipeline=[
        dict(type='Resize', scale=(32, 32), backend='pillow'),
    ],
)
train_dataloader = dict(
    batch_size=256,
    num_workers=0,  # a batch takes less time to fetch than to be sent
    collate_fn=dict(type='batch_collate'),
    dataset=dict(
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(**images, split='train'),
        pipeline=pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,  # a batch takes less time to fetch than to be sent
    collate_fn=dict(type='batch_collate'),
    dataset=dict(
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(**images, split='test'),
        pipeline=pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
