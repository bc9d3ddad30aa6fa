# RKD-D: the distances alone.
_base_ = './rkd.py'
method = dict(losses=dict(rkd=dict(angle_weight=0.0)))
