# Our choice for VOC07, batch 16: MoCo's 24,000 steps in proportion, half its
# rate.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=100),
    dict(
        type='MultiStepLR', by_epoch=False, milestones=[6750, 8250], gamma=0.1
    ),
]
train_cfg = dict(by_epoch=False, max_iters=9000, val_interval=3000)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=16)
