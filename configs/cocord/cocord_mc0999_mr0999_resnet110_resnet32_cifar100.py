_base_ = [
    '../_base_/pairs/resnet110_resnet32.py',
    '../_base_/methods/cocord.py',
    '../_base_/datasets/cifar100_two_views.py',
    '../_base_/schedules/cifar_240e.py',
    '../_base_/runtime.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
# Table 6: m_c of the teacher's head, m_r of the slow student and its head.
default_hooks['teacher_head']['momentum'] = 0.999
default_hooks['slow_student']['momentum'] = 0.999
default_hooks['slow_head']['momentum'] = 0.999
