from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.ops import full_precision

#: Numbers of neighbors that are reported; papers mostly quote k = 20.
NEIGHBORS = (10, 20, 100, 200)


@torch.no_grad()
@full_precision
def weighted_knn(
    queries: Tensor,
    bank: Tensor,
    bank_labels: Tensor,
    num_classes: int,
    k: Sequence[int] = NEIGHBORS,
    temperature: float = 0.07,
    top: int = 5,
    chunk_size: int = 256,
) -> dict[int, Tensor]:
    """Classify queries by a weighted vote of their k nearest neighbors.

    A neighbor votes for its class with exp(cosine similarity / temperature).
    One search for the max(k) nearest serves all k. Ties are broken in favor
    of the lower class number.

    Paper: Wu et al., Unsupervised Feature Learning via Non-Parametric
    Instance Discrimination, CVPR 2018, https://arxiv.org/abs/1805.01978,
    section 3.4.

    Args:
        queries, bank: features; they are L2-normalized here.
        bank_labels: class of each feature of the bank.
        num_classes: C, number of classes.
        k: numbers of neighbors.
        temperature: temperature of the votes, dimensionless.
        top: number of ranked classes to return per query.
        chunk_size: queries at a time; besides the features this needs about
            chunk_size x M x 4 bytes of memory.
    Shape:
        queries: (Q, D); bank: (M, D); bank_labels: (M,) from 0 to C - 1;
        returns for each k (Q, min(top, C)) classes, best first.
    Raises:
        ValueError: if a k exceeds the bank, or a label is out of range.
    """
    sizes = sorted(set(k))
    check_neighbors(sizes, len(bank))
    if bank_labels.min() < 0 or bank_labels.max() >= num_classes:
        raise ValueError(
            f'bank_labels lie between {int(bank_labels.min())} and '
            f'{int(bank_labels.max())}, but num_classes={num_classes} allows '
            f'0 to {num_classes - 1}'
        )
    queries = F.normalize(queries, dim=1)
    bank = F.normalize(bank, dim=1).t()
    ranked: dict[int, list[Tensor]] = {size: [] for size in sizes}
    for chunk in queries.split(chunk_size):
        similarity, nearest = (chunk @ bank).topk(sizes[-1])
        # Relative to the nearest, so that no exponential overflows.
        votes = ((similarity - similarity[:, :1]) / temperature).exp()
        classes = bank_labels[nearest]
        scores = votes.new_zeros(len(chunk), num_classes)
        counted = 0
        for size in sizes:
            ring = slice(counted, size)
            scores.scatter_add_(1, classes[:, ring], votes[:, ring])
            counted = size
            order = scores.argsort(dim=1, descending=True, stable=True)
            ranked[size].append(order[:, :top])
    return {size: torch.cat(parts) for size, parts in ranked.items()}


def check_neighbors(k: Sequence[int], bank_size: int) -> None:
    """Raise ValueError unless every k is from 1 to the size of the bank."""
    if not k or min(k) < 1 or max(k) > bank_size:
        raise ValueError(
            f'k-NN with k={tuple(k)} needs at least one k, each from 1 to the '
            f'number of labeled samples in the bank, {bank_size}; change k '
            'or bank_dataloader.dataset'
        )
