# 100 labels for the student as before; the teacher's answers for all 898.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_digits.py',
    '../_base_/methods/kd.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = dict(
    task_weight=1.0,
    losses=dict(kd=dict(type='KDLoss', temperature=4.0, loss_weight=1.0)),
)
train_dataloader = dict(dataset=dict(labelled_per_class=10))
