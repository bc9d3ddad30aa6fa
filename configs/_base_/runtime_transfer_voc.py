# As runtime_transfer.py, for VOC's measure.
_base_ = './runtime_transfer.py'
custom_hooks = [
    dict(type='ResumeStateHook'),
    dict(type='ExportStudentHook', metric='voc/AP50'),
]
