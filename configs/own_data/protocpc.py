# Prototypical contrast of answers: Lee, ICLR 2022.
_base_ = [
    '../_base_/datasets/own_images.py',
    '../_base_/methods/protocpc.py',
    '../_base_/schedules/own_60e.py',
    '../_base_/runtime.py',
]
model = dict(
    type='OfflineDistiller',
    student=dict(type='timm/resnet18', num_classes=_base_.num_classes),
    teacher=dict(type='timm/resnet34', num_classes=_base_.num_classes),
    teacher_ckpt='work_dirs/teacher/student_best.pth',
    input_size=(3, 224, 224),
    **_base_.method,
)
