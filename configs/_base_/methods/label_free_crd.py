# CRD of pooled features without labels: negatives are all other images. The
# numbers are those of the supervised method.
method = dict(
    student=dict(head=None, prototypes=None),
    teacher=dict(prototypes=None),
    losses=dict(
        crd=dict(
            type='CRDLoss',
            embed_dim=128,
            num_negatives=16384,
            temperature=0.07,
            momentum=0.5,
            exclude_class=False,
            loss_weight=0.8,
        )
    ),
)
