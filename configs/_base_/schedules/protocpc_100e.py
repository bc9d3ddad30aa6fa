# ProtoCPC of a teacher without labels (A.3.3), batch 512: SGD, cosine to 1e-6.
# The momentum and no warm-up are our choice.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.6, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=100,
    eta_min=1e-6,
    convert_to_iter_based=True,
)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
auto_scale_lr = dict(base_batch_size=512)
