# 1x of Detectron2 for COCO, batch 16, with its warm-up.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=1000),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        milestones=[60000, 80000],
        gamma=0.1,
    ),
]
train_cfg = dict(by_epoch=False, max_iters=90000, val_interval=30000)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=16)
