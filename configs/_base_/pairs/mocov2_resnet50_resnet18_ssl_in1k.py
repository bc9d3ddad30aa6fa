# A ResNet-50 of MoCo-v2 teaches a ResNet-18 without labels. The student's head
# is the teacher's; K = 65536 (ProtoCPC, A.3.2).
_base_ = []  # lets MMEngine import
from mmdistill.models.encoders import mocov2_resnet50

teacher = mocov2_resnet50()
head = dict(teacher['head'])
del head['bias']  # there is none before BatchNorm
student = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=head,
    prototypes=dict(type='PrototypeHead', num_prototypes=65536),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    # From tools/model_converters/self_supervised_to_mmdistill.py.
    teacher_ckpt='work_dirs/teachers/mocov2_resnet50.pth',
    task_weight=0.0,
    input_size=(3, 224, 224),
)
