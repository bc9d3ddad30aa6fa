from __future__ import annotations

from torch import Tensor

from mmdistill.ops.precision import full_precision


@full_precision
def class_mean_scores(support: Tensor, query: Tensor) -> Tensor:
    """Negative squared Euclidean distances of queries to class means.

    The softmax of these scores is a query's class probability.

    Paper: Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS
    2017, https://arxiv.org/abs/1703.05175, eqs. 1 and 2.

    Shape:
        support: (..., way, shot, D), query: (..., Q, D) float; returns
        (..., Q, way).
    """
    class_mean = support.mean(dim=-2)
    # Distances do not depend on the origin. Centering keeps the products
    # small, which limits cancellation.
    origin = class_mean.mean(dim=-2, keepdim=True)
    class_mean, query = class_mean - origin, query - origin
    squared = query.square().sum(dim=-1, keepdim=True)
    squared = squared + class_mean.square().sum(dim=-1).unsqueeze(-2)
    return 2 * query @ class_mean.mT - squared
