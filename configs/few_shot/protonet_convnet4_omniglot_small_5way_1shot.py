_base_ = [
    '../_base_/pairs/convnet4_convnet4_omniglot.py',
    '../_base_/datasets/omniglot_small_episodes.py',
    '../_base_/schedules/episodes_5e.py',
    '../_base_/runtime_episodes.py',
]
model = dict(_delete_=True, **_base_.student, episode=_base_.episode)
