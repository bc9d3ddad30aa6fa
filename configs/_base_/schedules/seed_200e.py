# SEED as in its code, batch 256: SGD, 0.03 for five epochs, then cosine to 0
# in steps of epochs. Its code lets the cosine begin at epoch 0, so that the
# rate falls by 0.2 % at once when it takes over (by 0.6 % of 100 epochs).
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = dict(type='CosineAnnealingLR', begin=5, end=200, T_max=195)
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=10)
auto_scale_lr = dict(base_batch_size=256)
