# ProtoCPC of a teacher without labels (Lee, ICLR 2022, eqs. 15 and 16, A.3.3).
# The teacher's prototypes are a copy of the student's, made at every step.
method = dict(
    teacher_prototypes='new',
    losses=dict(
        protocpc=dict(
            type='ProtoCPCLoss',
            student_temperature=0.1,
            teacher_temperature=0.04,
            prior_momentum=0.9,
            assignment='sinkhorn',
            sinkhorn_iterations=3,
            pairs='same_and_local',
            reduction='sum',
        )
    ),
)
method_hooks = dict(
    teacher_prototypes=dict(
        type='MomentumUpdateHook',
        source='student.prototypes',
        target='teacher_prototypes',
        momentum=0.0,
    )
)
