# ProtoCPC compression with the student's prototypes (eq. 16).
_base_ = [
    '../_base_/pairs/resnet14_resnet8_ssl_digits.py',
    '../_base_/datasets/digits_crops.py',
    '../_base_/schedules/digits_60e.py',
    '../_base_/runtime_ssl.py',
]
model = dict(
    type='OfflineDistiller',
    student=_base_.student,
    teacher=_base_.teacher,
    teacher_ckpt='work_dirs/ssl_digits/teacher/student.pth',
    task_weight=0,
    teacher_prototypes='new',
    losses=dict(
        protocpc=dict(
            type='ProtoCPCLoss', pairs='same_and_local', reduction='mean'
        )
    ),
)
default_hooks = dict(
    teacher_prototypes=dict(
        type='MomentumUpdateHook',
        source='student.prototypes',
        target='teacher_prototypes',
        momentum=0.0,
    ),
)
