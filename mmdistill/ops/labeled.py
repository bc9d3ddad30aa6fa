"""Means over the labeled rows of a batch, where -1 means no label."""

from __future__ import annotations

from torch import Tensor

from mmdistill.ops.distributed import all_reduce_mean, world_size


def labeled_count(label: Tensor) -> Tensor:
    """Labeled rows a process has on average; at least one in all together.

    A sum over this process's labeled rows, divided by it, is the mean over
    all processes' labeled rows once DDP has averaged the gradients, and 0
    where there are none.

    Shape:
        label: (N,), -1 where unknown; returns () float32.
    """
    count = all_reduce_mean((label >= 0).sum().float())
    return count.clamp(min=1 / world_size())


def labeled_mean(values: Tensor, label: Tensor) -> Tensor:
    """The mean of the labeled rows' values over all processes, 0 for none.

    Args:
        values: one for each row; what rows without a label have, NaN
            included, does not count.
        label: class numbers, -1 where unknown.
    Shape:
        values, label: (N,); returns ().
    """
    counted = values.where(label >= 0, 0)
    return counted.sum() / labeled_count(label).to(values.dtype)
