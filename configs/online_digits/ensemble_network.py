# MCL-OKD without its contrast: the ensemble teaches the leader.
_base_ = './mcl_okd_network.py'
model = dict(
    losses=dict(_delete_=True, ensemble=_base_.method.losses.ensemble)
)
