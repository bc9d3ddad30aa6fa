# Inception-v3 teaches resnet8x4 (WCoRD, supplement, B.2): two classes, images
# of 299 and of 32 pixels. Inception-v3 holds its classifier in the backbone.
_base_ = []  # lets MMEngine import
from mmdistill.models.backbones import cifar_classifier

teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='InceptionV3', num_classes=2),
    head=dict(type='ClsHead'),
)
student = cifar_classifier('resnet8x4', num_classes=2)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    teacher_ckpt='work_dirs/privileged/teacher_inception_v3_folder/student.pth',
    input_size=(3, 32, 32),
    teacher_input_size=(3, 299, 299),
)
