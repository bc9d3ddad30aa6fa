_base_ = [
    '../_base_/peers/convnet4_omniglot.py',
    '../_base_/methods/okddip.py',
    '../_base_/datasets/omniglot_episodes_5shot.py',
    '../_base_/schedules/episodes_200e.py',
    '../_base_/runtime_episodes.py',
]
model = dict(
    **_base_.method,
    student=dict(
        episode=_base_.episode,
        head=dict(num_classes=_base_.data_preprocessor.num_classes),
    ),
)
default_hooks = _base_.method_hooks
