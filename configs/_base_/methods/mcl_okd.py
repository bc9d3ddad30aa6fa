# MCL-OKD, eq. 12: T = 3, beta = 0.025 and, on CIFAR-100, tau = 0.1. The paper
# has 16384 negatives, the authors' commands 256 for DenseNet-40-12, ResNet-32
# and ResNet-110. One Z a batch is the authors' code, 'sample' is eq. 9.
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
    ),
)
