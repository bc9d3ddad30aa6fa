# wrn_40_2 teaches wrn_40_1 on CIFAR-100 (ProtoCPC and CoCoRD, Table 1).
_base_ = []  # lets MMEngine import
from mmdistill.models.backbones import cifar_classifier

teacher = cifar_classifier('wrn_40_2')
student = cifar_classifier('wrn_40_1')
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/wrn_40_2_cifar100/student.pth',
    input_size=(3, 32, 32),
)
