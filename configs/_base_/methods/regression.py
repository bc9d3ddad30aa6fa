# Reg: regress the teacher's normalized pooled feature.
method = dict(
    student=dict(head=None, prototypes=None),
    teacher=dict(prototypes=None),
    losses=dict(reg=dict(type='FeatureRegressionLoss', batch_norm=False)),
)
