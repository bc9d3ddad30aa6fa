# The paper's networks, two resolutions of one image. Needs data/folder (see
# the dataset's config) and the teacher of teacher_inception_v3_folder.py.
# lambda_1 = 0.8, lambda_2 = 0.1 (supplement, Table 2 and C); the schedule is
# the paper's for CIFAR-100, since its supplement gives no other.
_base_ = [
    '../_base_/pairs/inception_v3_resnet8x4_folder.py',
    '../_base_/methods/wcord.py',
    '../_base_/datasets/folder_two_resolutions.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = dict(**_base_.method, teacher_preprocessor=_base_.teacher_preprocessor)
model['losses']['lckt']['loss_weight'] = 0.1
default_hooks = dict(checkpoint=dict(save_best='auc/macro'))
