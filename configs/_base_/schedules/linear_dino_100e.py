# Linear evaluation of DINO, as in its code: SGD at 0.001 x batch / 256, here
# for the batch of its command (8 x 128), cosine in steps of epochs, no weight
# decay.
_base_ = './linear_100e.py'
optim_wrapper = dict(optimizer=dict(lr=0.004))
auto_scale_lr = dict(base_batch_size=1024)
