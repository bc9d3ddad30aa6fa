# Privileged information: in training the teacher sees a second file of every
# sample, of another modality. Chen et al. (WCoRD), CVPR 2021. The teacher is
# teacher.py, trained on its own files.
_base_ = [
    '../_base_/datasets/own_pairs.py',
    '../_base_/methods/wcord.py',
    '../_base_/schedules/own_60e.py',
    '../_base_/runtime.py',
]
model = dict(
    type='OfflineDistiller',
    student=dict(type='timm/resnet18', num_classes=_base_.num_classes),
    teacher=dict(type='timm/resnet34', num_classes=_base_.num_classes),
    teacher_ckpt='work_dirs/teacher/student_best.pth',
    teacher_preprocessor=_base_.data_preprocessor,
    input_size=(3, 224, 224),
    **_base_.method,
)
model['losses']['gckt']['num_negatives'] = 512  # half of your images at most
