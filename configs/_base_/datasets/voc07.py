# VOC07 alone: trainval to train, test to test.
_base_ = './voc0712.py'
train_dataloader = dict(
    dataset=dict(image_sets=[('2007', 'trainval')]),
)
