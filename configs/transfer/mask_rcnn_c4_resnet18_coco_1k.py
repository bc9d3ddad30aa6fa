# OSS, Table 3, COCO-1K. Its appendix was not at hand: C4 is MoCo's protocol.
_base_ = [
    '../_base_/networks/mask_c4_transfer.py',
    '../_base_/datasets/coco_1k_instances.py',
    '../_base_/schedules/detection_coco_1k.py',
    '../_base_/runtime_transfer.py',
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
