# MoCo-v2 by MMPretrain, batch 256: SGD, cosine in steps of epochs.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = dict(type='CosineAnnealingLR', T_max=800)
train_cfg = dict(by_epoch=True, max_epochs=800, val_interval=25)
auto_scale_lr = dict(base_batch_size=256)
