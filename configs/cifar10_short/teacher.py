_base_ = [
    '../_base_/pairs/resnet14_resnet8_cifar10.py',
    '../_base_/datasets/cifar10_folder_batched.py',
    '../_base_/schedules/cifar_10e.py',
    '../_base_/runtime.py',
]
model = dict(_delete_=True, **_base_.teacher)
# Three times as long as its students.
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        begin=1,
        end=30,
        T_max=29,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=30)
