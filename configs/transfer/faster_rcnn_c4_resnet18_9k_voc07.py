# OSS, Table 3, VOC07. Its appendix was not at hand: C4 is MoCo's protocol.
_base_ = [
    '../_base_/networks/c4_transfer.py',
    '../_base_/datasets/voc07.py',
    '../_base_/schedules/detection_9k.py',
    '../_base_/runtime_transfer_voc.py',
]
model = dict(
    backbone=dict(
        type='ResNet',
        depth=18,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/oss_resnet50_resnet18_800e_in1k/student.pth',
        ),
    )
)
