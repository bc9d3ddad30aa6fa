# Two phases: 30 epochs of warm-up, then the benchmark's 240.
_base_ = './cifar_240e.py'
train_cfg = dict(
    _delete_=True,
    type='TwoPhaseTrainLoop',
    warmup_epochs=30,
    max_epochs=240,
    val_interval=1,
)
