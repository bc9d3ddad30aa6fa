# MCL-OKD's schedule for CIFAR-100: cosine to 0 in 300 epochs, epoch by epoch.
# The baselines, whose own papers differ, get the same; Nesterov's momentum is
# the authors' code's, which trains all other methods at 0.1 in batches of 128.
optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True, T_max=300)
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)
