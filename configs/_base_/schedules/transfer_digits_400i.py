# A short look: AdamW, 5 % warm-up, then cosine to 0, every step.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, end=20),
    dict(
        type='CosineAnnealingLR', by_epoch=False, begin=20, end=400, T_max=380
    ),
]
train_cfg = dict(by_epoch=False, max_iters=400, val_interval=200)
val_cfg = dict()
test_cfg = dict()
