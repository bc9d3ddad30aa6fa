# Linear evaluation of ProtoCPC (A.3.4), batch 256: SGD at 0.3, cosine, no
# weight decay. The momentum is our choice.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.3, momentum=0.9, weight_decay=0.0)
)
param_scheduler = dict(type='CosineAnnealingLR', T_max=100)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256)
