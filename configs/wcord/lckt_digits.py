# The local part alone, with weight 1: 100 labels for the student, the
# teacher's features of all 898.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_digits.py',
    '../_base_/methods/wcord.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/digits_700i.py',
    '../_base_/runtime_digits.py',
]
model = _base_.method
model['losses'].pop('gckt')
model['losses']['lckt'].update(critic=None, center=False, loss_weight=1.0)
train_dataloader = dict(dataset=dict(labelled_per_class=10))
