# Section 4.2: T = 4, beta = 0.25 and tau = 0.1.
_base_ = './mcl_okd.py'
method = dict(
    losses=dict(
        ensemble=dict(temperature=4.0),
        mcl=dict(temperature=0.1, loss_weight=0.25),
    )
)
