# OSS, Table 3, VOC12. Its appendix was not at hand: the last two stages are
# dilated, as torchvision's FCN has them, so that the last map has stride 8.
_base_ = [
    '../_base_/networks/fcn_transfer.py',
    '../_base_/datasets/voc12_segmentation.py',
    '../_base_/schedules/segmentation_20k.py',
    '../_base_/runtime_transfer_segmentation.py',
]
model = dict(
    backbone=dict(
        type='ResNet',
        depth=18,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/oss_resnet50_resnet18_800e_in1k/student.pth',
        ),
    )
)
