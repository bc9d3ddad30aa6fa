# A linear classifier on a frozen ResNet-32's features of CIFAR-100, for
# students that did not learn its labels (CoCoRD, Table 7, lambda_cls = 0). The
# rates are those of ProtoCPC's linear probe.
_base_ = [
    '../_base_/pairs/resnet110_resnet32.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/runtime.py',
]
model = dict(
    _delete_=True,
    type='LinearProbe',
    backbone=_base_.student.backbone,
    neck=_base_.student.neck,
    head=dict(type='LinearClsHead', num_classes=100, in_channels=64),
    # Of another run: --cfg-options model.checkpoint=...
    checkpoint=(
        'work_dirs/cocord_cls0_resnet110_resnet32_cifar100/student.pth'
    ),
)
train_dataloader = dict(batch_size=256)
