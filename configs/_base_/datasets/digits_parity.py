# Even or odd digits. The teacher sees 8x8 pixels; the student sees their means
# over 2x2 (4x4 pixels, each shown as 2x2). For it 20 of the 898 training
# images have a label, two of every digit; all 898 for the teacher's own run.
_base_ = './digits.py'
data_preprocessor = dict(num_classes=2)
groups = ((0, 2, 4, 6, 8), (1, 3, 5, 7, 9))
low_resolution = [
    dict(type='TeacherView'),
    dict(type='Resize', scale=(4, 4), interpolation='area'),
    dict(type='Resize', scale=(8, 8), interpolation='nearest'),
    dict(type='PackPairInputs'),
]
train_pipeline = [
    dict(type='RandomCrop', crop_size=8, padding=1),
    *low_resolution,
]
train_dataloader = dict(
    dataset=dict(groups=groups, labelled_per_class=2, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(groups=groups, pipeline=low_resolution))
test_dataloader = val_dataloader
val_evaluator = [dict(type='Accuracy', topk=1), dict(type='AUC')]
test_evaluator = val_evaluator
