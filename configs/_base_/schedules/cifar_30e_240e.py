# Two-stage methods: 30 epochs of the first stage, then the benchmark's 240.
_base_ = './cifar_240e.py'
train_cfg = dict(
    _delete_=True,
    type='StagedTrainLoop',
    first_stage_epochs=30,
    max_epochs=240,
    val_interval=1,
)
