# ViTs by ProtoCPC: DINO's schedule with the weight decay of A.4, which is
# constant.
_base_ = './dino_100e.py'
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.001, weight_decay=1e-4)
)
