"""Stateless functions shared by losses, memories, heads and metrics."""

from mmdistill.ops.autograd import after_backward
from mmdistill.ops.class_mean_scores import class_mean_scores
from mmdistill.ops.distributed import (
    all_reduce_mean,
    all_reduce_sum,
    concat_all_gather,
    rank,
    world_size,
)
from mmdistill.ops.gradient_reversal import reverse_gradient
from mmdistill.ops.labeled import labeled_count, labeled_mean
from mmdistill.ops.normalize import l2_normalize
from mmdistill.ops.precision import full_precision
from mmdistill.ops.sinkhorn import sinkhorn
from mmdistill.ops.spectral_norm import norm_bound, orthonormal
from mmdistill.ops.summation import add_up

__all__ = [
    'add_up',
    'after_backward',
    'all_reduce_mean',
    'all_reduce_sum',
    'concat_all_gather',
    'full_precision',
    'l2_normalize',
    'labeled_count',
    'labeled_mean',
    'norm_bound',
    'orthonormal',
    'class_mean_scores',
    'rank',
    'reverse_gradient',
    'sinkhorn',
    'world_size',
]
