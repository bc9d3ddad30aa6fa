# The network of the few-shot papers on 28x28 characters, and its equal as a
# teacher (RKD).
teacher = dict(
    type='ImageClassifier',
    backbone=dict(type='ConvNet4', in_channels=1),
    neck=dict(type='FlattenNeck'),
)
student = dict(
    type='PrototypicalNetwork',
    backbone=dict(type='ConvNet4', in_channels=1),
    neck=dict(type='FlattenNeck'),
)
model = dict(
    type='OfflineDistiller',
    student=student,
    teacher=teacher,
    input_size=(1, 28, 28),
)
