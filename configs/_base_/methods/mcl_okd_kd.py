# MCL-OKD with a teacher of the leader (Table 4). The paper does not give its
# weight and temperature: those of the combined rows of CRD's tables.
method = dict(
    task_weight=1.0,
    losses=dict(
        ensemble=dict(type='EnsembleKDLoss', temperature=3.0),
        mcl=dict(
            type='MCLLoss',
            embed_dim=128,
            num_negatives=16384,
            temperature=0.1,
            momentum=0.5,
            pattern='full',
            normalizer='batch',
            loss_weight=0.025,
        ),
        kd=dict(type='KDLoss', temperature=4.0, loss_weight=1.0),
    ),
)
