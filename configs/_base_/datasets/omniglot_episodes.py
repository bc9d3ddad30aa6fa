# Omniglot for few-shot learning as in Snell et al., NeurIPS 2017, section 3.1,
# which MCL-OKD follows (section 4.2): characters at 28 pixels, their rotations
# as further classes, 60-way episodes with 5 queries in training. 1 shot.
#
# data/omniglot/ holds images_background.zip and images_evaluation.zip (or the
# folders in them), and vinyals/{train,val,test}.txt: Vinyals et al.'s lists of
# 1028, 172 and 423 characters, in 4 rotations each. Snell et al. choose the
# number of epochs with these and then train again on train and val together,
# 1200 characters (trainval.txt); configs/few_shot/README.md has the options.
data_preprocessor = dict(
    num_classes=4112,  # of training; an auxiliary classifier needs it
    mean=[255.0],
    std=[-255.0],  # strokes become 1 and paper 0
)
# Of training; the loss reads the same batch.
episode = dict(shot=1, query=5)
characters = dict(
    type='Omniglot',
    _scope_='mmdistill',
    data_root='data/omniglot',
    files=['images_background', 'images_evaluation'],
    rotations=(0, 90, 180, 270),
    pipeline=[dict(type='Resize', scale=(28, 28), interpolation='area')],
)
pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=60 * (1 + 5),
    num_workers=0,  # a batch takes less time to fetch than to be sent
    collate_fn=dict(type='batch_collate'),
    dataset=dict(
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(
            **characters, class_list='data/omniglot/vinyals/train.txt'
        ),
        pipeline=pipeline,
    ),
    sampler=dict(type='EpisodeSampler', way=60, episodes=100, **episode),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    collate_fn=dict(type='batch_collate'),
    dataset=dict(
        type='ImageTensorDataset',
        _scope_='mmdistill',
        dataset=dict(**characters, class_list='data/omniglot/vinyals/val.txt'),
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
        dataset=dict(
            **characters, class_list='data/omniglot/vinyals/test.txt'
        ),
        pipeline=pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
# 20 drawings of a character: 5 shots and 15 queries are all of them.
evaluation = dict(way=5, shot=1, query=15, episodes=1000)
val_cfg = dict(type='EpisodeValLoop', **evaluation)
test_cfg = dict(type='EpisodeTestLoop', **evaluation)
val_evaluator = []
test_evaluator = []
