# Our choice for VOC12, batch 16: 20,000 steps, poly.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4)
)
param_scheduler = dict(
    type='PolyLR', power=0.9, eta_min=1e-4, by_epoch=False, end=20000
)
train_cfg = dict(by_epoch=False, max_iters=20000, val_interval=2000)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=16)
