# Our choice for COCO-1K, batch 16: 1x in proportion to the images.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=100),
    dict(type='MultiStepLR', by_epoch=False, milestones=[507, 676], gamma=0.1),
]
train_cfg = dict(by_epoch=False, max_iters=760, val_interval=760)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=16)
