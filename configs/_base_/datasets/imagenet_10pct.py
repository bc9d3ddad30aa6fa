# 10 % of ImageNet-1k's training images with labels: SimCLR's list of them.
_base_ = './imagenet.py'
train_dataloader = dict(
    dataset=dict(
        type='ImageNetSubset',
        _scope_='mmdistill',
        list_file='data/imagenet/10percent.txt',
    )
)
