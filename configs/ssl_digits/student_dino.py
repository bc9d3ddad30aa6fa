# The student alone: DINO.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_ssl_digits.py',
    '../_base_/datasets/digits_crops.py',
    '../_base_/schedules/digits_60e.py',
    '../_base_/runtime_ssl.py',
]
model = dict(
    type='SelfDistiller',
    student=_base_.student,
    losses=dict(dino=dict(type='DINOLoss')),
)
default_hooks = dict(
    teacher=dict(
        type='MomentumUpdateHook',
        source='student',
        target='teacher',
        momentum=0.99,
        end_momentum=1.0,
        schedule='cosine',
    ),
    freeze_prototypes=dict(
        type='FreezeHook', module='student.prototypes', epochs=1
    ),
)
