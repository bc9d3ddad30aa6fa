# ConvNets by self-distillation (ProtoCPC, A.4), batch 512: SGD, cosine. What
# A.4 leaves out is DINO's: 10 epochs of warm-up, cosine to 1e-6, no decay of
# biases and norms, clipping of each tensor's gradient by itself.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.6, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0
    ),
    clip_grad=dict(type='norm_per_tensor', max_norm=3.0),
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-12,  # DINO's 0, which LinearLR cannot leave
        end=10,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=10,
        end=100,
        T_max=90,
        eta_min=1e-6,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
auto_scale_lr = dict(base_batch_size=512)
