# A MobileNetV2; the last map is that of its last layer, of 1280 channels.
_base_ = [
    '../_base_/networks/fpn_transfer.py',
    '../_base_/datasets/voc07.py',
    '../_base_/schedules/detection_9k.py',
    '../_base_/runtime_transfer_voc.py',
]
model = dict(
    backbone=dict(
        type='MobileNetV2',
        out_indices=(1, 2, 4, 7),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/oss_resnet50_mobilenet_v2_200e_in1k/student.pth',
        ),
    )
)
