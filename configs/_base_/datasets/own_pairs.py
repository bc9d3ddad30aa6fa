# Two files a sample: data_root/train/student/<class>/ and
# data_root/train/teacher/<class>/ with the same names but for the suffix.
# Validation has the student's alone: data_root/val/student/<class>/.
_base_ = './own_images.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256), backend='pillow'),
    dict(
        type='TeacherView',
        transforms=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(256, 256), backend='pillow'),
        ],
    ),
    dict(
        type='SharedTransforms',
        transforms=[
            dict(type='RandomResizedCrop', scale=224, backend='pillow'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        ],
    ),
    dict(type='PackPairInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(224, 224), backend='pillow'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type='PairedImages',
        data_prefix=dict(
            _delete_=True,
            img_path='train/student',
            teacher_img_path='train/teacher',
        ),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(data_prefix='val/student', pipeline=test_pipeline)
)
test_dataloader = val_dataloader
