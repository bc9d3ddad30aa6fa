# A short look: Adam, 1e-3, with a tenth of it in the last of five epochs.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = dict(
    type='MultiStepLR', by_epoch=True, milestones=[4], gamma=0.1
)
train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=5)
