# MCL-OKD without its ensemble: the contrast alone.
_base_ = './mcl_okd_network.py'
model = dict(losses=dict(_delete_=True, mcl=_base_.model.losses.mcl))
