# SimCLR and BYOL by MMPretrain, batch 256: LARS, 10 epochs of warm-up, cosine
# to 0. BYOL's 4.8 for a batch of 4096 is 0.3 for 256.
optim_wrapper = dict(
    optimizer=dict(type='LARS', lr=0.3, momentum=0.9, weight_decay=1e-6),
    paramwise_cfg=dict(
        custom_keys={
            'bn': dict(decay_mult=0.0, lars_exclude=True),
            'bias': dict(decay_mult=0.0, lars_exclude=True),
            # BatchNorm of a ResNet's shortcuts
            'downsample.1': dict(decay_mult=0.0, lars_exclude=True),
        }
    ),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        end=10,
        convert_to_iter_based=True,
    ),
    dict(type='CosineAnnealingLR', begin=10, end=800, T_max=790),
]
train_cfg = dict(by_epoch=True, max_epochs=800, val_interval=25)
auto_scale_lr = dict(base_batch_size=256)
