# Online distillation on ImageNet. The paper does not say; these are the
# numbers of the MCL-OKD authors' script: cosine to 0 in 100 epochs, epoch by
# epoch, in batches of 128. The baselines and the other methods get the same
# (the authors' baseline script: 0.1 in batches of 256).
optim_wrapper = dict(
    optimizer=dict(
        type='SGD', lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True, T_max=100)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=128)
