# A frozen resnet110 teaches the leader of four resnet32 (MCL-OKD, Table 4).
_base_ = './resnet32.py'
from mmdistill.models.backbones import cifar_classifier

teacher = cifar_classifier('resnet110')
model = dict(
    teacher=teacher, teacher_ckpt='work_dirs/resnet110_cifar100/student.pth'
)
