# CompRess-2q (Abbasi Koohpayegani et al., NeurIPS 2020): pooled features of
# student and teacher, each against a queue of its own kind. As in its default
# script a momentum copy fills the student's queue. Its script without one is
# slow_student=False, rows_of=None and no hook.
method = dict(
    student=dict(head=None, prototypes=None),
    teacher=dict(prototypes=None),
    losses=dict(
        compress=dict(
            type='CompRessLoss',
            level='feature',
            queues=2,
            queue_size=128000,
            rows_of='slow_student',
            temperature=0.04,
        )
    ),
    slow_student=True,
)
method_hooks = dict(
    slow_student=dict(
        type='MomentumUpdateHook',
        source='student',
        target='slow_student',
        momentum=0.999,
    )
)
