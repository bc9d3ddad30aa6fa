from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.views import view_pairs


def as_views(
    student: Tensor | Sequence[Tensor],
    teacher: Tensor | Sequence[Tensor],
    pairs: str,
) -> tuple[Sequence[Tensor], Sequence[Tensor], str]:
    """Both sides as lists of views, and the rule that pairs them.

    Two tensors are one view each, which are compared whatever ``pairs`` says.
    """
    if isinstance(student, Tensor):
        return [student], [teacher], 'all'
    return student, teacher, pairs


def soft_cross_entropy(
    scores: Sequence[Tensor],
    targets: Sequence[Tensor],
    pairs: str,
    reduction: str,
) -> Tensor:
    """Cross-entropies of softmax(scores) with targets over pairs of views.

    Args:
        scores: the student's views, divided by its temperature.
        targets: the teacher's views, probabilities.
        pairs, reduction: see `view_pairs`; within a pair it is the mean over
            the samples.
    Shape:
        scores, targets: lists of (N, K), global views first. Returns ().
    """
    chosen, factor = view_pairs(len(scores), len(targets), pairs, reduction)
    log_probabilities = [F.log_softmax(view, dim=1) for view in scores]
    loss = -sum(
        mean_inner_product(targets[t], log_probabilities[s]) for t, s in chosen
    )
    return factor * loss


def mean_inner_product(a: Tensor, b: Tensor) -> Tensor:
    """mean_n <a_n, b_n> of (N, K) tensors.

    Not by einsum: its one float32 sum over N * K terms loses digits, and
    takes longer than a product that is dropped at once.
    """
    return torch.linalg.vecdot(a.to(b.dtype), b, dim=1).mean()
