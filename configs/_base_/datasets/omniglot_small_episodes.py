# A part of Omniglot for trying out: five alphabets to train, and those three
# of the second small background set to test that the first does not have.
# Episodes of training have 20 classes, a third of the work.
#
# data/omniglot/ holds images_background_small1.zip and _small2.zip.
_base_ = './omniglot_episodes.py'
data_preprocessor = dict(num_classes=544)  # 136 characters, 4 rotations
train_dataloader = dict(
    batch_size=20 * (1 + 5),
    dataset=dict(
        dataset=dict(files=['images_background_small1'], class_list=None)
    ),
    sampler=dict(way=20, episodes=200),
)
val_dataloader = dict(
    dataset=dict(
        dataset=dict(
            files=['images_background_small2'],
            exclude_alphabets=['Greek', 'Latin'],
            class_list=None,
        )
    )
)
test_dataloader = val_dataloader
