# As runtime_transfer.py, for segmentors.
_base_ = './runtime_transfer.py'
custom_hooks = [
    dict(type='ResumeStateHook'),
    dict(type='ExportStudentHook', metric='seg/mIoU'),
]
