_base_ = [
    '../_base_/pairs/resnet110_resnet32.py',
    '../_base_/methods/cocord.py',
    '../_base_/datasets/cifar100_two_views.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = _base_.method
# Table 7, lambda_cls = 0: the classifier, as it was drawn, learns nothing, so
# its accuracy chooses no checkpoint; configs/evaluation has a linear probe.
model['task_weight'] = 0.0
default_hooks = dict(**_base_.method_hooks, checkpoint=dict(save_best=None))
find_unused_parameters = True
