# Your own images of two classes: data/folder/{train,test}/<class>/<image>. The
# teacher sees them at 299 pixels, the student at 32 (our choice: the paper's
# supplement names neither the data nor the sizes).
_base_ = './folder32.py'
data_preprocessor = dict(num_classes=2)
teacher_preprocessor = dict(
    mean=[127.5, 127.5, 127.5],  # what torchvision's Inception-v3 takes
    std=[127.5, 127.5, 127.5],
    to_rgb=True,
)
low_resolution = [
    dict(type='TeacherView'),
    dict(type='Resize', scale=(32, 32), interpolation='area'),
    dict(type='PackPairInputs'),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=299,
        crop_ratio_range=(0.5, 1.0),
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    *low_resolution,
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(299, 299), backend='pillow'),
    *low_resolution,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='Accuracy', topk=1), dict(type='AUC')]
test_evaluator = val_evaluator
