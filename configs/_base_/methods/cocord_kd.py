# CoCoRD + KD, the combined row of its tables.
_base_ = './cocord.py'
method = dict(
    losses=dict(kd=dict(type='KDLoss', temperature=4.0, loss_weight=1.0))
)
