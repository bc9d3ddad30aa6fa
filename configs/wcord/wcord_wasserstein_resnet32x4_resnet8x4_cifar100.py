# GCKT in its other form.
_base_ = './wcord_resnet32x4_resnet8x4_cifar100.py'
model = dict(losses=dict(gckt=dict(form='wasserstein')))
