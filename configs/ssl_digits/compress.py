# CompRess with two queues of 512 embeddings.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_ssl_digits.py',
    '../_base_/datasets/digits_crops.py',
    '../_base_/schedules/digits_60e.py',
    '../_base_/runtime_ssl.py',
]
model = dict(
    type='OfflineDistiller',
    student=dict(_base_.student, prototypes=None),
    teacher=dict(_base_.teacher, prototypes=None),
    teacher_ckpt='work_dirs/ssl_digits/teacher/student.pth',
    task_weight=0,
    losses=dict(compress=dict(type='CompRessLoss', queue_size=512)),
)
