# The common runtime, counted in steps.
_base_ = './runtime.py'
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=350),
    logger=dict(interval=50, log_metric_by_epoch=False),
)
log_processor = dict(by_epoch=False)
