# CoCoRD with its numbers for ImageNet (section 4); m_r is our choice.
method = dict(
    type='CoCoRD',
    losses=dict(
        contrastive=dict(
            type='InfoNCELoss',
            target='teacher',
            queue_size=65536,
            temperature=0.07,
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
    symmetric=False,
)
# m_r = m_c = 0.999.
method_hooks = dict(
    slow_student=dict(
        type='MomentumUpdateHook',
        source='student',
        target='slow_student',
        momentum=0.999,
    ),
    slow_head=dict(
        type='MomentumUpdateHook',
        source='student_head',
        target='slow_head',
        momentum=0.999,
    ),
    teacher_head=dict(
        type='MomentumUpdateHook',
        source='student_head',
        target='teacher_head',
        momentum=0.999,
    ),
)
