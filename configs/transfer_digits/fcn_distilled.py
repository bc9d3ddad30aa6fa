# An FCN on the distilled student's backbone, at stride 8 by dilation.
_base_ = [
    '../_base_/datasets/digits_canvas_segmentation.py',
    '../_base_/schedules/transfer_digits_400i.py',
    '../_base_/runtime_transfer_segmentation.py',
]
model = dict(
    type='FCN',
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=16,
        base_channels=16,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/transfer_digits/student/student.pth',
        ),
    ),
    num_classes=11,
    norm='tuned',
    mean=[127.5] * 3,
    std=[60.0] * 3,
)
optim_wrapper = dict(optimizer=dict(lr=0.003))
