_base_ = [
    '../_base_/pairs/resnet14_resnet8_cifar10.py',
    '../_base_/methods/wcord.py',
    '../_base_/datasets/cifar10_folder_batched.py',
    '../_base_/schedules/cifar_10e.py',
    '../_base_/runtime.py',
]
model = _base_.method
model['losses'].pop('lckt')  # GCKT alone
model['losses']['gckt']['num_negatives'] = 4096  # of 10,000 images
