# The network of the few-shot papers on 84x84 images, and its equal as a
# teacher (RKD).
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='ConvNet4'),
    neck=dict(type='FlattenNeck'),
)
student = dict(
    type='PrototypicalNetwork',
    backbone=dict(type='ConvNet4'),
    neck=dict(type='FlattenNeck'),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    input_size=(3, 84, 84),
)
