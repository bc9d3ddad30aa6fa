# The common runtime without labels: k-NN says which student is best.
_base_ = './runtime.py'
default_hooks = dict(
    checkpoint=dict(save_best='knn/top1_k20'),
    logger=dict(interval=50),
    teacher_check=None,
    collapse_monitor=dict(type='CollapseMonitorHook'),
    export_student=dict(metric='knn/top1_k20'),
)
