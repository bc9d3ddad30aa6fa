_base_ = [
    '../_base_/pairs/convnet4_convnet4_omniglot.py',
    '../_base_/methods/rkd_d.py',
    '../_base_/datasets/omniglot_episodes_5shot.py',
    '../_base_/schedules/episodes_200e.py',
    '../_base_/runtime_episodes.py',
]
model = dict(
    **_base_.method,
    teacher_ckpt='work_dirs/protonet_convnet4_omniglot_5way_5shot/student_best.pth',
    student=dict(episode=_base_.episode),
)
