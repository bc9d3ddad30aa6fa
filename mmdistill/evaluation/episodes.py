from __future__ import annotations

import math

import torch
from torch import Tensor

from mmdistill.ops import prototype_scores


@torch.no_grad()
def episode_hits(
    features: Tensor, episodes: Tensor, shot: int, chunk_size: int = 100
) -> Tensor:
    """How many queries of each episode are nearest to their own class's mean.

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
        device; returns (E,) int64, from 0 to way * query.
    """
    way = episodes.shape[1]
    own = torch.arange(way, device=episodes.device)[:, None]
    hits = []
    for chunk in episodes.split(chunk_size):
        support = features[chunk[:, :, :shot]]
        query = features[chunk[:, :, shot:]]
        scores = prototype_scores(support, query.flatten(1, 2))
        predicted = scores.argmax(dim=2).view(query.shape[:3])
        hits.append((predicted == own).sum(dim=(1, 2)))
    return torch.cat(hits)


def mean_and_interval(values: Tensor) -> tuple[float, float]:
    """The mean, and half the width of its 95 % confidence interval.

    1.96 s / sqrt(n), s^2 the unbiased variance, as few-shot papers report it.

    Shape:
        values: (n,), n > 1.
    """
    values = values.double()
    half = 1.96 * values.std() / math.sqrt(len(values))
    return float(values.mean()), float(half)
