# OSS without dropout and without the feature classifier: KD of its Table 6.
_base_ = './oss_kd_drop.py'
model = dict(
    student=dict(head=dict(dropout=0.0)),
    teacher=dict(head=dict(dropout=0.0)),
    dropout_views=False,
)
