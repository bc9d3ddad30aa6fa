# DINO (Caron et al., ICCV 2021) with the numbers of ProtoCPC, A.4.
method = dict(
    losses=dict(
        dino=dict(
            type='DINOLoss',
            student_temperature=0.1,
            teacher_temperature=0.04,
            center_momentum=0.9,
            pairs='cross',
            reduction='mean',
        )
    )
)
method_hooks = dict(
    teacher=dict(
        type='MomentumUpdateHook',
        source='student',
        target='teacher',
        momentum=0.996,
        end_momentum=1.0,
        schedule='cosine',
    ),
    freeze_prototypes=dict(
        type='FreezeHook', module='student.prototypes', epochs=1
    ),
)
sync_bn = 'torch'
