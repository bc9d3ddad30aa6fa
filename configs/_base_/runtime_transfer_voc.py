# As runtime_transfer.py, for VOC's measure.
_base_ = './runtime_transfer.py'
default_hooks = dict(export_student=dict(metric='voc/AP50'))
