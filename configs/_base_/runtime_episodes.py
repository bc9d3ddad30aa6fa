# The common runtime; "best" is the accuracy over episodes.
_base_ = './runtime.py'
default_hooks = dict(
    checkpoint=dict(save_best='episode/accuracy'),
    logger=dict(interval=50),
    teacher_check=None,
    export_student=dict(metric='episode/accuracy'),
)
