# As ./protocpc_ssl_old.py, with multi-crop: eq. 16 for each of two full crops.
# Their mean, so that the learning rate means the same, is our choice.
_base_ = './protocpc_ssl_old.py'
method = dict(losses=dict(protocpc=dict(loss_weight=0.5)))
