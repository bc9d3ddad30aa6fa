# A set that is seen often: the 40 Korean characters of the first small
# background set, unturned, 800 drawings. An episode has 120 of them, so that
# 250 episodes see each about 37 times. Tested like omniglot_small_episodes.py.
_base_ = './omniglot_small_episodes.py'
data_preprocessor = dict(num_classes=40)
train_dataloader = dict(
    dataset=dict(dataset=dict(only_alphabets=['Korean'], rotations=(0,))),
    sampler=dict(episodes=50),
)
