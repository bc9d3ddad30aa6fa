_base_ = [
    '../_base_/pairs/resnet14_resnet8_cifar10.py',
    '../_base_/methods/wcord.py',
    '../_base_/datasets/cifar10_folder_batched.py',
    '../_base_/schedules/cifar_10e.py',
    '../_base_/runtime.py',
]
model = _base_.method
model['losses'].pop('gckt')  # LCKT alone, with weight 1
model['losses']['lckt'].update(critic=None, center=False, loss_weight=1.0)
