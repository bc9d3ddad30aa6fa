# The baselines of MCL-OKD's tables: every peer learns from labels alone.
method = dict(task_weight=1.0, losses=dict())
