# CompRess as in its code, batch 256: 130 epochs, x0.2 at 90 and 120.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = dict(type='MultiStepLR', milestones=[90, 120], gamma=0.2)
train_cfg = dict(by_epoch=True, max_epochs=130, val_interval=10)
auto_scale_lr = dict(base_batch_size=256)
