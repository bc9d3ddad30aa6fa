# A Faster R-CNN on the distilled student's backbone, for boxes of your own.
_base_ = [
    '../_base_/datasets/own_boxes.py',
    '../_base_/schedules/own_detection_3k.py',
    '../_base_/runtime_transfer.py',
]
model = dict(
    type='FasterRCNN',
    backbone=dict(
        type='NetworkBackbone',
        network='timm/resnet18',
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/kd/student_best.pth'
        ),
    ),
    neck='fpn',
    num_classes=_base_.num_classes,
    min_size=480,
    max_size=800,
)
