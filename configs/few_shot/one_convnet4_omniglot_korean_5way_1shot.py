_base_ = [
    '../_base_/peers/convnet4_thin_omniglot.py',
    '../_base_/methods/one.py',
    '../_base_/datasets/omniglot_korean_episodes.py',
    '../_base_/schedules/episodes_5e.py',
    '../_base_/runtime_episodes.py',
]
model = dict(
    **_base_.method,
    mode='branch',
    cut=2,
    student=dict(
        episode=_base_.episode,
        head=dict(num_classes=_base_.data_preprocessor.num_classes),
    ),
)
