# off.KD-Drop of OSS's Table 6: the codes are a frozen SwAV teacher's, by its
# own prototypes; the student learns with dropout views, as in SwAV.
method = dict(
    student=dict(head=dict(dropout=(0.1, 0.05))),
    dropout_views=True,
    losses=dict(
        swapped=dict(
            type='SwappedPredictionLoss',
            temperature=0.1,
            epsilon=0.05,
            iterations=3,
            pairs='cross',
            reduction='sum',
        )
    ),
)
method_hooks = dict(
    freeze_prototypes=dict(
        type='FreezeHook', module='student.prototypes', iters=5005
    )
)
sync_bn = 'torch'
