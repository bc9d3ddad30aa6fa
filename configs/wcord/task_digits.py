# What distilled students start from: the same batches of all 898 images, of
# which 100 have labels, and no loss but the task's.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_digits.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = dict(task_weight=1.0, losses=dict())
train_dataloader = dict(dataset=dict(labelled_per_class=10))
