# DINO's views of ViTs, 2x224 + 8x96 (ProtoCPC, A.4), with its code's scales.
_base_ = './imagenet_multicrop_dino.py'
train_pipeline = [
    _base_.load_image,
    dict(
        _base_.crops,
        num_local=8,
        global_scale=(0.4, 1.0),
        local_scale=(0.05, 0.4),
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
