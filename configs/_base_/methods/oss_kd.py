# KD of OSS's Table 6: no dropout, no feature classifier.
_base_ = './oss_kd_drop.py'
method = dict(
    student=dict(head=dict(dropout=0.0)),
    teacher=dict(head=dict(dropout=0.0)),
    dropout_views=False,
)
