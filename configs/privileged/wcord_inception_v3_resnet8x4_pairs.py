# The paper's networks, two files a sample: the teacher sees another modality.
# Needs data/pairs (see the dataset's config) and a teacher of its own files.
_base_ = [
    '../_base_/pairs/inception_v3_resnet8x4_folder.py',
    '../_base_/methods/wcord.py',
    '../_base_/datasets/folder_two_files.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = dict(**_base_.method, teacher_preprocessor=_base_.teacher_preprocessor)
model['losses']['lckt']['loss_weight'] = 0.1
default_hooks = dict(checkpoint=dict(save_best='auc/macro'))
