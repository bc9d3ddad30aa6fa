# What every run shares. A run is reproducible as it stands: the seed is fixed
# and a resumed run equals one that was never stopped.
default_scope = 'mmdistill'
runner_type = 'DistillRunner'

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        save_best='accuracy/top1',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    finite_loss=dict(type='FiniteLossHook'),
    visualization=dict(type='VisualizationHook', enable=False),
    resume_state=dict(type='ResumeStateHook'),
    teacher_check=dict(type='TeacherCheckHook'),
    export_student=dict(type='ExportStudentHook'),
    report=dict(type='ReportHook'),  # report.html when training has ended
)
custom_hooks = []  # the user's own; ours stand above, by name

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [
    dict(type='LocalVisBackend'),
    dict(type='TensorboardVisBackend'),  # tensorboard --logdir work_dirs
]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
