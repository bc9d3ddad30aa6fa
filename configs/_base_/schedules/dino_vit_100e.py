# ViTs by DINO, batch 512: AdamW at 0.001 (ProtoCPC, A.4), weight decay from
# 0.04 to 0.4 along a cosine. A ratio, so that what has no decay keeps none.
_base_ = './dino_100e.py'
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.001, weight_decay=0.04)
)
param_scheduler = [
    *_base_.param_scheduler,
    dict(
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        T_max=100,
        eta_min_ratio=10.0,
        convert_to_iter_based=True,
    ),
]
