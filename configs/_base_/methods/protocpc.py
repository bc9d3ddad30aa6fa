# Lee, ICLR 2022, eq. 14 and A.2.3: T=4 on both sides, T^2 in the loss.
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
        )
    ),
)
