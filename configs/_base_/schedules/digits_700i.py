# SGD with Nesterov momentum, 5 % warm-up, then cosine to 0, every step.
optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.03, by_epoch=False, end=35),
    dict(
        type='CosineAnnealingLR', by_epoch=False, begin=35, end=700, T_max=665
    ),
]
train_cfg = dict(by_epoch=False, max_iters=700, val_interval=100)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)
