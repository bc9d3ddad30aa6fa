# CompRess-1q: the student's feature, mapped linearly to the teacher's width
# (the pair's leaf says from which), against one queue of the teacher's.
method = dict(
    student=dict(
        neck=dict(
            _delete_=True,
            type='LinearNeck',
            out_channels=2048,
            gap_dim=2,
            norm_cfg=None,
        ),
        head=None,
        prototypes=None,
    ),
    teacher=dict(prototypes=None),
    losses=dict(
        compress=dict(
            type='CompRessLoss',
            level='feature',
            queues=1,
            queue_size=128000,
            temperature=0.04,
        )
    ),
)
