# The common runtime for detectors, counted in steps. student.pth is then the
# whole detector, with its config.
_base_ = './runtime.py'
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=5000, save_best=None),
    logger=dict(interval=50, log_metric_by_epoch=False),
    visualization=dict(
        _delete_=True, type='DenseVisualizationHook', enable=False
    ),
    teacher_check=None,
    export_student=dict(metric='coco/bbox_AP50'),
)
log_processor = dict(by_epoch=False)
