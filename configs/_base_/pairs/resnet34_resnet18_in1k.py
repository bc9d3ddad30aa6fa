# ResNet-34 teaches ResNet-18 on ImageNet (CRD, ProtoCPC and CoCoRD).
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=34),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=512),
)
student = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=512),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    # A file in torchvision's layout: fetched, or give the path of your copy.
    teacher_ckpt='torchvision://resnet34',
    input_size=(3, 224, 224),
)
