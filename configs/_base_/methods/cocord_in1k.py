# CoCoRD with its numbers for ImageNet (section 4); m_r is our choice.
method = dict(
    type='CoCoRD',
    losses=dict(),
    head=dict(type='ProjectionHead', num_layers=2, out_dim=128),
    predictor=dict(type='PredictorHead'),
    queue_size=65536,
    temperature=0.07,
    contrastive_weight=1.0,
    prediction_weight=4.0,
    task_weight=1.0,
    symmetric=False,
    contrastive_encoder='teacher',
    cognate_encoder='slow_student',
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
