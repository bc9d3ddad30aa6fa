# A short look at a detector: AdamW, 5 % warm-up, then cosine to 0.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=150),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=150,
        end=3000,
        T_max=2850,
    ),
]
train_cfg = dict(by_epoch=False, max_iters=3000, val_interval=1000)
val_cfg = dict()
test_cfg = dict()
