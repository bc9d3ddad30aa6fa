# OSS (Choi et al., NeurIPS 2021), KD-Drop-Adv of Table 6: SwAV's numbers,
# dropout 0.1 and 0.05 behind the heads' linear layers, a feature classifier
# whose layers are our choice.
dropout = (0.1, 0.05)
method = dict(
    student=dict(head=dict(dropout=dropout)),
    teacher=dict(head=dict(dropout=dropout)),
    clustering=dict(
        type='SwappedPredictionLoss',
        temperature=0.1,
        epsilon=0.05,
        iterations=3,
        pairs='cross',
        reduction='sum',
    ),
    dropout_views=True,
    feature_classifier=dict(
        type='FeatureClassifier', hidden_dim=128, alpha=1.0
    ),
    queue_size=3840,
)
method_hooks = dict(
    freeze_prototypes=dict(
        type='FreezeHook', module='student.prototypes', iters=5005
    ),
    queue=dict(type='QueueHook', start_epoch=15),
)
sync_bn = 'torch'
