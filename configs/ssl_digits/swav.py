# The student alone: SwAV.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_ssl_digits.py',
    '../_base_/datasets/digits_crops.py',
    '../_base_/schedules/digits_60e.py',
    '../_base_/runtime_ssl.py',
]
model = dict(
    type='OSS',
    student=_base_.student,
    clustering=dict(reduction='mean'),
    dropout_views=False,
    queue_size=512,
)
default_hooks = dict(
    queue=dict(type='QueueHook', start_epoch=5),
)
