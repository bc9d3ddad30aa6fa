_base_ = [
    '../_base_/pairs/convnet4_convnet4_mini_imagenet.py',
    '../_base_/datasets/mini_imagenet_episodes_5shot.py',
    '../_base_/schedules/episodes_200e.py',
    '../_base_/runtime_episodes.py',
]
model = dict(_delete_=True, **_base_.student, episode=_base_.episode)
