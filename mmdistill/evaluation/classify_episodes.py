from __future__ import annotations

import math

import torch
from torch import Tensor

from mmdistill.ops import class_mean_scores


@torch.no_grad()
def classify_episodes(
    features: Tensor, episodes: Tensor, shot: int, chunk_size: int = 100
) -> Tensor:
    """Classify the queries of each episode by the nearest class mean.

    Papers: Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS
    2017, https://arxiv.org/abs/1703.05175, section 2.2; Yang et al.,
    Multi-view Contrastive Learning for Online Knowledge Distillation, ICASSP
    2021, https://arxiv.org/abs/2006.04093, Table 5 of the earlier, longer
    version there.

    Args:
        features: features of all images of the dataset.
        episodes: the images of each episode, as from ``Episodes.draw``.
        shot: support images per class, the first ones of each row.
        chunk_size: episodes at a time; besides the features this needs about
            chunk_size * way * (shot + query) * D * 4 bytes of memory.
    Shape:
        features: (M, D); episodes: (E, way, shot + query) int64 on the same
        device; returns the predicted classes (E, way, query) int64 from 0 to
        way - 1; the true class of row i is i.
    """
    classes = []
    for chunk in episodes.split(chunk_size):
        support = features[chunk[:, :, :shot]]
        query = features[chunk[:, :, shot:]]
        scores = class_mean_scores(support, query.flatten(1, 2))
        classes.append(scores.argmax(dim=2).view(query.shape[:3]))
    return torch.cat(classes)


def mean_and_interval(values: Tensor) -> tuple[float, float]:
    """The mean, and half the width of its 95 % confidence interval.

    The half-width is 1.96 s / sqrt(n) with the unbiased variance s^2, as in
    few-shot papers.

    Shape:
        values: (n,), n > 1.
    """
    values = values.double()
    half = 1.96 * values.std() / math.sqrt(len(values))
    return float(values.mean()), float(half)
