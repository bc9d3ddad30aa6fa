# The same with 5 shots, in training and in testing, and 20-way training.
_base_ = './mini_imagenet_episodes.py'
episode = dict(shot=5)
train_dataloader = dict(batch_size=20 * (5 + 15), sampler=dict(way=20, shot=5))
val_cfg = dict(shot=5)
test_cfg = dict(shot=5)
