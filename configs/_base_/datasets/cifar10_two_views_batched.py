# CIFAR-10 in two views without waiting for data: crop and flip drawn twice.
_base_ = './cifar10_batched.py'
data_preprocessor = dict(num_views=2)
