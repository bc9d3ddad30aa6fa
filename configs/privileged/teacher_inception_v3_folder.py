# The teacher: torchvision's Inception-v3 of ImageNet, trained on for two
# classes at 299 pixels. Needs data/folder and torchvision's file
# inception_v3_google-0cc3c7bd.pth; its classifier of 1000 classes and its
# auxiliary one are left. The schedule is our choice.
_base_ = [
    '../_base_/pairs/inception_v3_resnet8x4_folder.py',
    '../_base_/datasets/folder_two_resolutions.py',
    '../_base_/runtime.py',
]
model = dict(_delete_=True, **_base_.teacher)
model['backbone']['init_cfg'] = dict(
    type='Pretrained',
    checkpoint='work_dirs/teachers/inception_v3_google-0cc3c7bd.pth',
    partial=True,
)
data_preprocessor = dict(
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5],
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='RandomResizedCrop',
        scale=299,
        crop_ratio_range=(0.5, 1.0),
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(299, 299), backend='pillow'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=20,
    by_epoch=True,
    convert_to_iter_based=True,
)
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(checkpoint=dict(save_best='auc/macro'))
