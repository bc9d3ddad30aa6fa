# resnet110 teaches resnet32 on CIFAR-100 (ProtoCPC and CoCoRD, Table 1).
_base_ = []  # lets MMEngine import
from mmdistill.models.backbones import cifar_classifier

teacher = cifar_classifier('resnet110')
student = cifar_classifier('resnet32')
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/resnet110_cifar100/student.pth',
    input_size=(3, 32, 32),
)
