"""Measures of representation collapse."""

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

    The mean over the D dimensions: 0 if all features have the same direction,
    about 1 if the directions are uniform on the sphere.

    Paper: Chen and He, Exploring Simple Siamese Representation Learning, CVPR
    2021, https://arxiv.org/abs/2011.10566, section 4.1.

    Shape:
        features: (N, D), N > 1; returns ().
    """
    unit = F.normalize(features, dim=1)
    return unit.std(dim=0).mean() * math.sqrt(features.shape[1])


@torch.no_grad()
@full_precision
def effective_rank(features: Tensor) -> Tensor:
    """Effective rank of L2-normalized features, from 1 to min(N, D).

    exp(H(p)), where H is the entropy and p the singular values divided by
    their sum.

    Paper: Garrido et al., RankMe: Assessing the Downstream Performance of
    Pretrained Self-Supervised Representations by Their Rank, ICML 2023,
    https://arxiv.org/abs/2210.02885, eqs. 1 and 2, where features are not
    normalized.

    Shape:
        features: (N, D); returns ().
    """
    unit = F.normalize(features, dim=1)
    # svdvals raises for NaN or infinity, which a diverged run may have.
    values = torch.linalg.svdvals(unit.nan_to_num())
    return torch.special.entr(values / values.sum()).sum().exp()


@torch.no_grad()
@full_precision
def prototype_usage(
    scores: Tensor, temperature: float = 0.1
) -> tuple[Tensor, Tensor]:
    """How evenly a batch uses the prototypes: entropy, and fraction chosen.

    Args:
        scores: prototype scores, before division by the temperature.
        temperature: softmax temperature; 0.1 is the student's in the papers.
    Shape:
        scores: (N, K); returns two (): the entropy of the mean assignment
        divided by log K (1 for even use, 0 for a single prototype), and the
        fraction of prototypes that are the argmax of a sample, at most N / K.
    """
    mean = (scores / temperature).softmax(dim=1).mean(dim=0)
    entropy = torch.special.entr(mean).sum() / math.log(len(mean))
    chosen = torch.zeros_like(mean)
    chosen[scores.argmax(dim=1)] = 1
    return entropy, chosen.mean()
