# ProtoCPC self-distillation (Lee, ICLR 2022, eq. 17, A.4): DINO with another
# loss.
_base_ = './dino.py'
method = dict(
    losses=dict(
        _delete_=True,
        protocpc=dict(
            type='ProtoCPCLoss',
            student_temperature=0.1,
            teacher_temperature=0.04,
            prior_momentum=0.9,
            assignment='sinkhorn',
            sinkhorn_iterations=3,
            pairs='cross',
            reduction='mean',
        ),
    )
)
