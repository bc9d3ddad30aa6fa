# A RegNetY-600MF.
_base_ = [
    '../_base_/networks/fpn_transfer.py',
    '../_base_/datasets/voc07.py',
    '../_base_/schedules/detection_9k.py',
    '../_base_/runtime_transfer_voc.py',
]
model = dict(
    backbone=dict(
        type='RegNetY',
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/oss_resnet50_regnety_600mf_200e_in1k/student.pth',
        ),
    )
)
