# Any dataset of class folders, as CoCoRD's Table 3 has it for STL-10: set
# num_classes and data_root.
_base_ = [
    '../_base_/pairs/wrn_40_2_wrn_16_2.py',
    '../_base_/datasets/folder32.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='LinearProbe',
    backbone=_base_.student.backbone,
    neck=_base_.student.neck,
    head=dict(type='LinearClsHead', num_classes=10, in_channels=128),
    # Of another method: --cfg-options model.checkpoint=...
    checkpoint='work_dirs/cocord_wrn_40_2_wrn_16_2_cifar100/student.pth',
)
# What the network is used to: CIFAR-100's.
data_preprocessor = dict(
    mean=[129.3105, 124.1085, 112.404], std=[68.2125, 65.4075, 70.4055]
)
train_dataloader = dict(batch_size=256)
