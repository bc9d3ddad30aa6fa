# scikit-learn's digits at 32 pixels, dark or bright, as they are on a canvas.
_base_ = './digits.py'
# Three means make three equal channels of one: a detector's images are RGB.
data_preprocessor = dict(mean=[127.5] * 3, std=[60.0] * 3)
train_pipeline = [
    dict(type='Resize', scale=32, interpolation='bicubic'),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='Invert', prob=0.5),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='Resize', scale=32, interpolation='bicubic'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
