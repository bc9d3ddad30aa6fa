from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes; 1 when torch.distributed is not in use."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    return 1


def rank() -> int:
    """Rank of this process; 0 when torch.distributed is not in use."""
    return dist.get_rank() if world_size() > 1 else 0


def all_reduce_sum(x: Tensor) -> Tensor:
    """The sum of ``x`` over all processes, without gradient.

    Shape:
        x: any shape, the same in every process; returns that shape.
    """
    if world_size() == 1:
        return x
    x = x.detach().clone()
    dist.all_reduce(x)
    return x


def all_reduce_mean(x: Tensor) -> Tensor:
    """The mean of ``x`` over all processes, without gradient.

    Shape:
        x: any shape, the same in every process; returns that shape.
    """
    return x if world_size() == 1 else all_reduce_sum(x) / world_size()


def concat_all_gather(x: Tensor) -> Tensor:
    """Concatenate the rows of all processes in rank order, without gradient.

    On the CPU the processes may hold different numbers of rows. On a GPU the
    numbers must agree, because exchanging them would synchronize the host in
    every step; MMEngine's samplers ensure it (``round_up=True``).

    Shape:
        x: (N, ...); returns (N_1 + ... + N_W, ...), equal on all processes.
    """
    x = x.detach()
    if world_size() == 1:
        return x
    rows = [len(x)] * world_size()
    if x.device.type == 'cpu':
        dist.all_gather_object(rows, len(x))
    longest = max(rows)
    padded = x.new_zeros(longest, *x.shape[1:])
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in rows]
    dist.all_gather(parts, padded)
    return torch.cat([part[:n] for part, n in zip(parts, rows, strict=True)])
