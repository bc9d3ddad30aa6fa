# ResNet-101 teaches ResNet-50 on ImageNet (CoCoRD).
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=101),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=2048),
)
student = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=50),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=2048),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    # A file in torchvision's layout: fetched, or give the path of your copy.
    teacher_ckpt='torchvision://resnet101',
    input_size=(3, 224, 224),
)
