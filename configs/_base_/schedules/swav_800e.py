# SwAV's and OSS's, batch 256: LARS, cosine from 0.6 to 0.0006. SwAV's scripts
# for this batch size have no warm-up.
optim_wrapper = dict(
    optimizer=dict(type='LARS', lr=0.6, momentum=0.9, weight_decay=1e-6)
)
param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=800,
    eta_min=0.0006,
    convert_to_iter_based=True,
)
train_cfg = dict(by_epoch=True, max_epochs=800, val_interval=25)
auto_scale_lr = dict(base_batch_size=256)
