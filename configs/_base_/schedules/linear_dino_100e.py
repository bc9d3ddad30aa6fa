# Linear evaluation of DINO, as in its code: SGD at 0.001 x batch / 256, here
# for the batch of its command (8 x 128), cosine in steps of epochs, no weight
# decay.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.004, momentum=0.9, weight_decay=0.0)
)
param_scheduler = dict(type='CosineAnnealingLR', T_max=100)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=1024)
