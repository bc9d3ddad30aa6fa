# InfoNCE of pooled features against a queue of the teacher's; a building
# block (CoCoRD's numbers for CIFAR: temperature 0.1, queue 2048). Student and
# teacher features must have one width.
method = dict(
    task_weight=1.0,
    losses=dict(
        infonce=dict(type='InfoNCELoss', temperature=0.1, level='feature')
    ),
    memories=dict(negatives=dict(type='FeatureQueue', size=2048)),
)
