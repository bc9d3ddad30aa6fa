# CompRess-2q (Abbasi Koohpayegani et al., NeurIPS 2020): pooled features of
# student and teacher, each against a queue of its own kind. Its code fills the
# student's queue from a momentum copy, which we leave out.
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
)
