# CoCoRD with its numbers for CIFAR-100 (section 4).
method = dict(
    type='CoCoRD',
    losses=dict(
        contrastive=dict(
            type='InfoNCELoss',
            target='teacher',
            queue_size=2048,
            temperature=0.1,
            loss_weight=1.0,
        ),
        prediction=dict(
            type='PredictionLoss',
            target='slow_student',
            predictor=dict(type='PredictorHead'),
            loss_weight=4.0,
        ),
    ),
    head=dict(type='ProjectionHead', num_layers=2, out_dim=128),
    task_weight=1.0,
    symmetric=True,
)
# m_r = 0.9 and m_c = 0.999; Table 6 has a grid of both.
method_hooks = dict(
    slow_student=dict(
        type='MomentumUpdateHook',
        source='student',
        target='slow_student',
        momentum=0.9,
    ),
    slow_head=dict(
        type='MomentumUpdateHook',
        source='student_head',
        target='slow_head',
        momentum=0.9,
    ),
    teacher_head=dict(
        type='MomentumUpdateHook',
        source='student_head',
        target='teacher_head',
        momentum=0.999,
    ),
)
