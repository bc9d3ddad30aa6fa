# Fine-tuning with 1 % of the labels as in SwAV's code, batch 256: 0.02 for the
# backbone, 5 for the new layer.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=250.0))),
)
param_scheduler = dict(type='MultiStepLR', milestones=[12, 16], gamma=0.2)
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256)
sync_bn = 'torch'
