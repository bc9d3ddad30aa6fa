_base_ = [
    '../_base_/pairs/resnet56_resnet20.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = dict(_delete_=True, **_base_.teacher)
