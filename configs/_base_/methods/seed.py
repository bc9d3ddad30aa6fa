# SEED (Fang et al., ICLR 2021, section 3.2): a queue of 65536 teacher
# features, temperatures 0.2 and 0.01. Of several views, a full crop teaches
# itself and the small ones.
method = dict(
    student=dict(prototypes=None),
    teacher=dict(prototypes=None),
    losses=dict(
        seed=dict(
            type='SEEDLoss',
            queue_size=65536,
            student_temperature=0.2,
            teacher_temperature=0.01,
            pairs='same_and_local',
            reduction='mean',
        )
    ),
)
