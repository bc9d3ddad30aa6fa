# Contrast across two views, with a slow student: Fu et al., BMVC 2023.
_base_ = [
    '../_base_/datasets/own_images_two_views.py',
    '../_base_/methods/cocord.py',
    '../_base_/schedules/own_60e.py',
    '../_base_/runtime.py',
]
model = dict(
    student=dict(type='timm/resnet18', num_classes=_base_.num_classes),
    teacher=dict(type='timm/resnet34', num_classes=_base_.num_classes),
    teacher_ckpt='work_dirs/teacher/student_best.pth',
    input_size=(3, 224, 224),
    **_base_.method,
)
model['losses']['contrastive']['queue_size'] = 512  # of your images at most
default_hooks = _base_.method_hooks
