# Correlation congruence of pooled features, without labels. The weight is that
# of the CIFAR-100 tables.
method = dict(
    student=dict(head=None, prototypes=None),
    teacher=dict(prototypes=None),
    losses=dict(cc=dict(type='CCLoss', embed_dim=128, loss_weight=0.02)),
)
