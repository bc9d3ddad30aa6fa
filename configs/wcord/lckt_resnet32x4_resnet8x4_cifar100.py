_base_ = [
    '../_base_/pairs/resnet32x4_resnet8x4.py',
    '../_base_/methods/wcord.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = _base_.method
model['losses'].pop('gckt')  # LCKT alone
model['losses']['lckt'].update(critic=None, center=False)
