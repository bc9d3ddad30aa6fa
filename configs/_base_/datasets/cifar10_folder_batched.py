# CIFAR-10 as image files in class folders, read once into one tensor:
# data/cifar10_folder/{train,test}/<class>/<image>.
_base_ = './cifar10_batched.py'
data_preprocessor = dict(to_rgb=True)
images = dict(
    type='CustomDataset',
    _scope_='mmdistill',
    data_root='data/cifar10_folder',
    pipeline=[dict(type='LoadImageFromFile')],
)
train_dataloader = dict(
    dataset=dict(dataset=dict(_delete_=True, **images, data_prefix='train'))
)
val_dataloader = dict(
    dataset=dict(dataset=dict(_delete_=True, **images, data_prefix='test'))
)
test_dataloader = val_dataloader
