# SwAV's, batch 4096: LARS, 10 epochs of warm-up from 0.3, cosine from 4.8 to
# 0.0048.
optim_wrapper = dict(
    optimizer=dict(type='LARS', lr=4.8, momentum=0.9, weight_decay=1e-6)
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.3 / 4.8,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=10,
        end=100,
        T_max=90,
        eta_min=0.0048,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
auto_scale_lr = dict(base_batch_size=4096)
