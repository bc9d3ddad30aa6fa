"""Whether representations say different things of different samples."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.ops import full_precision


@torch.no_grad()
@full_precision
def spread(features: Tensor) -> Tensor:
    """Standard deviation of L2-normalized features, times sqrt(D).

    The mean over the D dimensions: 0 where all samples have one direction,
    about 1 where directions are uniform.

    Paper: Chen and He, Exploring Simple Siamese Representation Learning, CVPR
    2021, section 4.1.

    Shape:
        features: (N, D), N > 1; returns ().
    """
    unit = F.normalize(features, dim=1)
    return unit.std(dim=0).mean() * math.sqrt(features.shape[1])


@torch.no_grad()
@full_precision
def effective_rank(features: Tensor) -> Tensor:
    """How many dimensions L2-normalized features use: from 1 to min(N, D).

    exp(H(p)), H the entropy and p the singular values over their sum.

    Paper: Garrido et al., RankMe, ICML 2023, eqs. 1 and 2, there of features
    that are not normalized.

    Shape:
        features: (N, D); returns ().
    """
    unit = F.normalize(features, dim=1)
    # The decomposition raises where a diverged run has something else.
    values = torch.linalg.svdvals(unit.nan_to_num())
    return torch.special.entr(values / values.sum()).sum().exp()


@torch.no_grad()
@full_precision
def prototype_usage(
    scores: Tensor, temperature: float = 0.1
) -> tuple[Tensor, Tensor]:
    """How evenly a batch uses prototypes, in the mean and by its choices.

    Args:
        scores: of prototypes, before the temperature.
        temperature: of the softmax; 0.1 is the students' in the papers.
    Shape:
        scores: (N, K); returns two (): the entropy of the mean assignment
        over log K (1 is even use, 0 a single prototype), and the fraction of
        prototypes that some sample prefers to all others, at most N / K.
    """
    mean = (scores / temperature).softmax(dim=1).mean(dim=0)
    entropy = torch.special.entr(mean).sum() / math.log(len(mean))
    chosen = torch.zeros_like(mean)
    chosen[scores.argmax(dim=1)] = 1
    return entropy, chosen.mean()
