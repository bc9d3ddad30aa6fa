# resnet32x4 teaches resnet8x4 on CIFAR-100 (ProtoCPC and CoCoRD, Table 1).
_base_ = []  # lets MMEngine import
from mmdistill.models.backbones import cifar_classifier

teacher = cifar_classifier('resnet32x4')
student = cifar_classifier('resnet8x4')
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/resnet32x4_cifar100/student.pth',
    input_size=(3, 32, 32),
)
