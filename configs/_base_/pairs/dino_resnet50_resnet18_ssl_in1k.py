# A ResNet-50 of DINO teaches a ResNet-18 without labels. The teacher is the
# published file's: a 2-layer head with BatchNorm, 60000 prototypes with
# lengths. The student's head is the teacher's (ProtoCPC, A.3.2), whose K is
# 65536: with the teacher's own prototypes (Table 9) it has to be the file's,
# so it is 60000 throughout.
_base_ = []  # lets MMEngine import
from mmdistill.models.encoders import dino_resnet50

teacher = dino_resnet50()
head = dict(teacher['head'])
del head['bias']  # there is none before BatchNorm
student = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=head,
    prototypes=dict(type='PrototypeHead', num_prototypes=60000),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    # From tools/model_converters/self_supervised_to_mmdistill.py.
    teacher_ckpt='work_dirs/teachers/dino_resnet50.pth',
    task_weight=0.0,
    input_size=(3, 224, 224),
)
