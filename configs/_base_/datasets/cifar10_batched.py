# CIFAR-10 prepared as in cifar10.py, without waiting for data: one uint8
# tensor, cropped, flipped and normalized as whole batches on the device.
data_preprocessor = dict(
    type='BatchAugmentPreprocessor',
    num_classes=10,
    mean=[125.307, 122.961, 113.8575],  # 255 * (0.4914, 0.4822, 0.4465)
    std=[62.985, 62.0925, 66.708],  # 255 * (0.2470, 0.2435, 0.2616)
    to_rgb=False,
    crop_padding=4,
    flip_prob=0.5,
)
pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,  # a batch takes less time to fetch than to be sent
    collate_fn=dict(type='batch_collate'),
    dataset=dict(
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(
            type='CIFAR10',
            data_root='data/cifar10',
            split='train',
        ),
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
        dataset=dict(
            type='CIFAR10',
            data_root='data/cifar10',
            split='test',
        ),
        pipeline=pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
