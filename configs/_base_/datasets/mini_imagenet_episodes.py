# miniImageNet for few-shot learning as in Snell et al., NeurIPS 2017, section
# 3.2, which MCL-OKD follows (section 4.2): 84 pixels, 15 queries a class,
# 30-way episodes in training. 1 shot. Neither paper's code has miniImageNet:
# that images are normalized, and by ImageNet's statistics, is our choice.
#
# data/mini_imagenet/ holds {train,val,test}.csv and the folder images/.
data_preprocessor = dict(
    num_classes=64,  # of training; an auxiliary classifier needs it
    mean=[123.675, 116.28, 103.53],  # ImageNet's, RGB
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)
# Of training; the loss reads the same batch.
episode = dict(shot=1, query=15)
images = dict(
    type='MiniImageNet',
    _scope_='mmdistill',
    data_root='data/mini_imagenet',
    pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(84, 84), interpolation='area'),
    ],
)
pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=30 * (1 + 15),
    num_workers=0,  # a batch takes less time to fetch than to be sent
    collate_fn=dict(type='batch_collate'),
    dataset=dict(  # all images, 813 MB
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(**images, split='train'),
        pipeline=pipeline,
    ),
    sampler=dict(type='EpisodeSampler', way=30, episodes=100, **episode),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    collate_fn=dict(type='batch_collate'),
    dataset=dict(
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(**images, split='val'),
        pipeline=pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = dict(
    batch_size=256,
    num_workers=0,
    collate_fn=dict(type='batch_collate'),
    dataset=dict(
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(**images, split='test'),
        pipeline=pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
evaluation = dict(way=5, shot=1, query=15, episodes=600)
val_cfg = dict(type='EpisodeValLoop', **evaluation)
test_cfg = dict(type='EpisodeTestLoop', **evaluation)
val_evaluator = []
test_evaluator = []
