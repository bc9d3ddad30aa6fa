"""Noise-contrastive estimation against banks, of CRD, WCoRD and MCL."""

from __future__ import annotations

import logging

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdistill.models.memories import InstanceBank


class Embedding(nn.Linear):
    """A linear map to the unit sphere: (N, D) to (N, E)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(super().forward(x))


def is_score(scores: Tensor) -> Tensor:
    """Mask of valid scores; queue rows of the same class hold -inf."""
    return scores > -torch.inf


def noise_contrastive(
    probability: Tensor, num_samples: int, num_negatives: int | Tensor
) -> Tensor:
    """Noise-contrastive estimation against uniform noise.

    Args:
        probability: P of the positive and of the negatives; 0 marks a column
            without a negative.
        num_samples: n, the number of samples that the noise is uniform over.
        num_negatives: K, at least 1, one number or one per row.
    Shape:
        probability: (N, 1 + K), the positive first; num_negatives: (N, 1);
        returns ().
    """
    eps = 1e-7  # as in the authors' code
    positive, negative = probability[:, :1], probability[:, 1:]
    noise = num_negatives / num_samples
    data = -(positive / (positive + noise + eps)).log()
    noise = ((negative + eps) / noise).log1p().sum(dim=1, keepdim=True)
    return (data + noise).mean()


def warn_of_few_negatives(
    who: str, bank: InstanceBank, num_negatives: int
) -> None:
    """Log a warning if some sample has fewer negatives than are drawn."""
    fewest = bank.fewest_negatives
    if num_negatives > fewest:
        print_log(
            f'{who}.num_negatives={num_negatives}, but some sample has only '
            f'{fewest} negatives: they are drawn with replacement, many of '
            'them several times',
            logger='current',
            level=logging.WARNING,
        )
