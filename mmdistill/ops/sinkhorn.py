from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from mmdistill.ops.distributed import world_size


@torch.no_grad()
def sinkhorn(scores: Tensor, temperature: float, iterations: int) -> Tensor:
    """Sinkhorn-Knopp assignment of samples to prototypes.

    exp(scores / temperature) is scaled so that all prototypes (columns) have
    equal totals and every sample (row) sums to 1: columns first, then rows,
    ``iterations`` times. The computation is in the log domain, so it stays
    finite for large scores, half-precision scores and prototypes without any
    sample. With several processes it runs over the joint batch.

    Papers: Lee, Prototypical Contrastive Predictive Coding, ICLR 2022,
    https://openreview.net/forum?id=8la28hZOwug, eqs. 11 and 12; Cuturi,
    Sinkhorn Distances: Lightspeed Computation of Optimal Transport, NeurIPS
    2013, https://arxiv.org/abs/1306.0895.

    Args:
        scores: similarity of each sample to each prototype.
        temperature: entropic regularization, in units of the scores.
        iterations: number of column-and-row scalings, at least 1.
    Shape:
        scores: (N, K) float; returns (N, K), rows sum to 1, in float32 (or
        float64 for float64 scores). N may differ between processes.
    Raises:
        ValueError: if scores are not two-dimensional, the temperature is not
            positive or there is no iteration.
    """
    if scores.ndim != 2:
        raise ValueError(
            'sinkhorn takes scores of shape (samples, '
            f'prototypes), got {tuple(scores.shape)}'
        )
    if temperature <= 0 or iterations < 1:
        raise ValueError(
            'sinkhorn needs temperature > 0 and iterations >= 1, got '
            f'temperature={temperature} and iterations={iterations}'
        )
    if scores.dtype != torch.float64:
        scores = scores.float()
    log_plan = scores / temperature
    for _ in range(iterations):
        # The columns' common total cancels in the row step, so skip it.
        log_plan -= _column_logsumexp(log_plan)
        log_plan -= log_plan.logsumexp(dim=1, keepdim=True)
    return log_plan.exp_()


def _column_logsumexp(x: Tensor) -> Tensor:
    """logsumexp over the rows of all processes: (N, K) to (1, K)."""
    if world_size() == 1:
        return x.logsumexp(dim=0, keepdim=True)
    if len(x):
        highest = x.amax(dim=0, keepdim=True)
    else:
        highest = x.new_full((1, x.shape[1]), -torch.inf)
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    total = (x - highest).exp_().sum(dim=0, keepdim=True)
    dist.all_reduce(total)
    return total.log_().add_(highest)
