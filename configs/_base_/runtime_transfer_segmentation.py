# As runtime_transfer.py, for segmentors.
_base_ = './runtime_transfer.py'
default_hooks = dict(export_student=dict(metric='seg/mIoU'))
