# A ResNet-50 of SwAV teaches a ResNet-18 without labels. The student's head is
# the teacher's; as many prototypes as it has (ProtoCPC, A.3.2).
_base_ = []  # lets MMEngine import
from mmdistill.models.encoders import swav_resnet50

teacher = swav_resnet50()
head = dict(teacher['head'])
del head['bias']  # there is none before BatchNorm
student = dict(
    type='SelfSupervisedEncoder',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=head,
    prototypes=dict(type='PrototypeHead', num_prototypes=3000),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    # From tools/model_converters/self_supervised_to_mmdistill.py.
    teacher_ckpt='work_dirs/teachers/swav_resnet50.pth',
    task_weight=0.0,
    input_size=(3, 224, 224),
)
