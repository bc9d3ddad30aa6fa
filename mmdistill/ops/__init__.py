"""Functions without state that several parts share."""

from mmdistill.ops.autograd import after_backward
from mmdistill.ops.distributed import (
    all_reduce_mean,
    all_reduce_sum,
    concat_all_gather,
    world_size,
)
from mmdistill.ops.precision import full_precision
from mmdistill.ops.sinkhorn import sinkhorn

__all__ = [
    'after_backward',
    'all_reduce_mean',
    'all_reduce_sum',
    'concat_all_gather',
    'full_precision',
    'sinkhorn',
    'world_size',
]
