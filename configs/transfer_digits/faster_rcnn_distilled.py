# A Faster R-CNN with a feature pyramid on the distilled student's backbone.
_base_ = './faster_rcnn_random.py'
model = dict(
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/transfer_digits/student/student.pth',
        )
    )
)
