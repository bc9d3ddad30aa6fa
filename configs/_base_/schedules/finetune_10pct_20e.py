# Fine-tuning with 10 % of the labels as in SwAV's code: 0.01 for the backbone,
# 0.2 for the new layer.
_base_ = './finetune_1pct_20e.py'
optim_wrapper = dict(
    optimizer=dict(lr=0.01),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=20.0))),
)
