# vgg13 teaches vgg8 on CIFAR-100 (ProtoCPC and CoCoRD, Table 1).
_base_ = []  # lets MMEngine import
from mmdistill.models.backbones import cifar_classifier

teacher = cifar_classifier('vgg13')
student = cifar_classifier('vgg8')
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/vgg13_cifar100/student.pth',
    input_size=(3, 32, 32),
)
