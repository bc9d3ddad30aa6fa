from __future__ import annotations

import math

import torch
from torch import Tensor

from mmdistill.ops import prototype_scores


@torch.no_grad()
def classify_episodes(
    features: Tensor, episodes: Tensor, shot: int, chunk_size: int = 100
) -> Tensor:
    """To which class's mean every query of each episode is nearest.

    Paper: Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS
    2017, section 2.2; the classification rule of Table 5 of seed
    004_3f53bd953af4039d.txt.

    Args:
        features: of all images of the dataset.
        episodes: which images each has, as of ``Episodes.draw``.
        shot: support images of a class, the first ones.
        chunk_size: episodes at a time; the memory needed beside the features
            is about chunk_size * way * (shot + query) * D * 4 bytes.
    Shape:
        features: (M, D); episodes: (E, way, shot + query) int64 on the same
        device; returns (E, way, query) int64 from 0 to way - 1: those in row
        i are right where they are i.
    """
    classes = []
    for chunk in episodes.split(chunk_size):
        support = features[chunk[:, :, :shot]]
        query = features[chunk[:, :, shot:]]
        scores = prototype_scores(support, query.flatten(1, 2))
        classes.append(scores.argmax(dim=2).view(query.shape[:3]))
    return torch.cat(classes)


def mean_and_interval(values: Tensor) -> tuple[float, float]:
    """The mean, and half the width of its 95 % confidence interval.

    1.96 s / sqrt(n), s^2 the unbiased variance, as few-shot papers report it.

    Shape:
        values: (n,), n > 1.
    """
    values = values.double()
    half = 1.96 * values.std() / math.sqrt(len(values))
    return float(values.mean()), float(half)
