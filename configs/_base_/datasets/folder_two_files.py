# Two files a sample, of two classes: data/pairs/train/student/<class>/ and
# data/pairs/train/teacher/<class>/ with the same names but for the suffix.
# Validation and tests have the student's alone: data/pairs/test/student/.
_base_ = './folder_two_resolutions.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(342, 342), backend='pillow'),
    dict(
        type='TeacherView',
        transforms=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(342, 342), backend='pillow'),
        ],
    ),
    dict(
        type='SharedTransforms',
        transforms=[
            dict(type='RandomResizedCrop', scale=299, backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        ],
    ),
    dict(type='Resize', scale=(32, 32), interpolation='area'),
    dict(type='PackPairInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(299, 299), backend='pillow'),
    dict(type='Resize', scale=(32, 32), interpolation='area'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type='PairedImages',
        _scope_='mmdistill',
        data_root='data/pairs',
        data_prefix=dict(
            _delete_=True,
            img_path='train/student',
            teacher_img_path='train/teacher',
        ),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        type='PairedImages',
        _scope_='mmdistill',
        data_root='data/pairs',
        data_prefix=dict(_delete_=True, img_path='test/student'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
