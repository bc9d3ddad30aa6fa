# CoCoRD, Table 8, COCO: MoCo's protocol, as the paper's is in a supplement
# that was not at hand.
_base_ = [
    '../_base_/networks/mask_c4_transfer.py',
    '../_base_/datasets/coco_instances.py',
    '../_base_/schedules/detection_90k.py',
    '../_base_/runtime_transfer.py',
]
model = dict(
    backbone=dict(
        type='ResNet',
        depth=50,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/cocord_resnet101_resnet50_in1k/student.pth',
        ),
    )
)
