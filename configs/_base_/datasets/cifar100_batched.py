# CIFAR-100 prepared as in cifar100.py, without waiting for data: one uint8
# tensor, cropped, flipped and normalized as whole batches on the device.
data_preprocessor = dict(
    type='BatchAugmentPreprocessor',
    num_classes=100,
    mean=[129.3105, 124.1085, 112.404],  # 255 * (0.5071, 0.4867, 0.4408)
    std=[68.2125, 65.4075, 70.4055],  # 255 * (0.2675, 0.2565, 0.2761)
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
            type='CIFAR100',
            data_root='data/cifar100',
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
            type='CIFAR100',
            data_root='data/cifar100',
            split='test',
        ),
        pipeline=pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
