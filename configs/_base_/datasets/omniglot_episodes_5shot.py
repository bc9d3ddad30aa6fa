# The same with 5 shots, in training and in testing.
_base_ = './omniglot_episodes.py'
episode = dict(shot=5)
train_dataloader = dict(batch_size=60 * (5 + 5), sampler=dict(shot=5))
val_cfg = dict(shot=5)
test_cfg = dict(shot=5)
