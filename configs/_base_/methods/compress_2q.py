# CompRess-2q (Abbasi Koohpayegani et al., NeurIPS 2020): pooled features of
# student and teacher, each against a queue of its own kind. As in its default
# script a momentum copy fills the student's queue. Its script without one is
# memory_encoder='student' and no hook.
method = dict(
    student=dict(head=None, prototypes=None),
    teacher=dict(prototypes=None),
    losses=dict(
        compress=dict(
            type='CompRessLoss', queues=2, temperature=0.04, level='feature'
        )
    ),
    memories=dict(
        student_queue=dict(type='FeatureQueue', size=128000),
        teacher_queue=dict(type='FeatureQueue', size=128000),
    ),
    memory_encoder='slow_student',
)
method_hooks = dict(
    slow_student=dict(
        type='MomentumUpdateHook',
        source='student',
        target='slow_student',
        momentum=0.999,
    )
)
