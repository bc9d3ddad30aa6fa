# CoCoRD, Table 3. The rates are those of ProtoCPC's linear probe: the paper's
# are in a supplement that was not at hand.
_base_ = [
    '../_base_/pairs/wrn_40_2_wrn_16_2.py',
    '../_base_/datasets/stl10_32.py',
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
