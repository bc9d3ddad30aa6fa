# InfoNCE of pooled features against a queue of the teacher's; a building
# block (CoCoRD's numbers for CIFAR: temperature 0.1, queue 2048). Student and
# teacher features must have one width.
method = dict(
    task_weight=1.0,
    losses=dict(
        infonce=dict(
            type='InfoNCELoss',
            level='feature',
            queue_size=2048,
            temperature=0.1,
        )
    ),
)
