# ProtoCPC + CRD, the combined row of the CIFAR-100 tables.
method = dict(
    task_weight=1.0,
    losses=dict(
        protocpc=dict(
            type='ProtoCPCLoss',
            student_temperature=4.0,
            teacher_temperature=4.0,
            scale_by_temperature=True,
            prior_momentum=0.9,
            assignment='sinkhorn',
            sinkhorn_iterations=3,
            loss_weight=1.75,
        ),
        crd=dict(
            type='CRDLoss',
            embed_dim=128,
            num_negatives=16384,
            temperature=0.07,
            momentum=0.5,
            loss_weight=0.8,
        ),
    ),
)
