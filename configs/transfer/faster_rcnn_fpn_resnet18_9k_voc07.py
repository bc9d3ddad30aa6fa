# The ResNet-18 with a pyramid, to compare networks of other kinds with.
_base_ = [
    '../_base_/networks/fpn_transfer.py',
    '../_base_/datasets/voc07.py',
    '../_base_/schedules/detection_9k.py',
    '../_base_/runtime_transfer_voc.py',
]
model = dict(
    backbone=dict(
        type='ResNet',
        depth=18,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/oss_resnet50_resnet18_800e_in1k/student.pth',
        ),
    )
)
