"""Where two models agree and where they do not, as numbers."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import confusion_matrix
from threadpoolctl import threadpool_limits
from torch import Tensor


def confusion(labels: Tensor, chosen: Tensor, classes: int) -> np.ndarray:
    """How often each class is taken for each, in percent of its images.

    Shape:
        labels, chosen: (N,); returns (classes, classes), rows are labels.
    """
    counts = confusion_matrix(labels, chosen, labels=range(classes))
    total = counts.sum(1, keepdims=True)
    return 100 * counts / np.maximum(total, 1)


def largest_pairs(
    matrix: np.ndarray, count: int = 10
) -> list[tuple[int, int, float]]:
    """Entries off the diagonal of the largest magnitude: row, column, value.

    Those that are zero are left out.
    """
    off = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    order = np.argsort(-np.abs(off), axis=None, kind='stable')[:count]
    rows, columns = np.unravel_index(order, off.shape)
    return [
        (int(i), int(j), float(off[i, j]))
        for i, j in zip(rows, columns, strict=True)
        if off[i, j]
    ]


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence of two distributions of classes, in bits.

    Shape:
        p, q: (N, K), rows sum to 1; returns (N,), each 0 to 1.
    """
    mean = (p + q) / 2
    return (_entropy(mean) - (_entropy(p) + _entropy(q)) / 2).clamp(min=0)


def class_correlation(logits: Tensor) -> np.ndarray:
    """Correlation of the classes' logits over the images.

    Classes of which all logits are equal correlate with none.

    Paper: Tian et al., Contrastive Representation Distillation, ICLR 2020,
    https://arxiv.org/abs/1910.10699, figure 2: a student that has taken over
    what the teacher knows of how classes resemble each other has the same.

    Shape:
        logits: (N, K); returns (K, K).
    """
    with np.errstate(invalid='ignore', divide='ignore'):
        found = np.corrcoef(logits.double().numpy(), rowvar=False)
    return np.nan_to_num(np.atleast_2d(found))


def flat_map(feature: Tensor) -> np.ndarray:
    """Features on a plane by t-SNE, the same at every call.

    Shape:
        feature: (N, D), of some hundred images; returns (N, 2).
    Raises:
        ValueError: if there are fewer than 4 images, all have one feature, or
            a feature is not finite.
    """
    if len(feature) < 4:
        raise ValueError(f't-SNE needs 4 images, there are {len(feature)}')
    if not feature.isfinite().all():
        raise ValueError('a feature is NaN or infinite')
    width = min(50, *feature.shape)
    reduced = PCA(width, random_state=0).fit_transform(feature.numpy())
    scale = reduced[:, 0].std()
    if scale <= 1e-6 * float(feature.abs().max()):
        raise ValueError('all images have the same feature')
    tsne = TSNE(
        perplexity=min(30.0, (len(feature) - 1) / 3),
        # scikit-learn's faster method crashes the process, past any except,
        # where many points coincide.
        method='exact',
        max_iter=500,
        init='pca' if width > 1 else 'random',
        random_state=0,
    )
    # A thousand short steps: threads that meet after each wait for others'
    # work on a machine that is busy, ten times as long as one thread needs.
    with threadpool_limits(1):
        return tsne.fit_transform(reduced / scale)


def _entropy(p: Tensor) -> Tensor:
    return -(p * p.clamp(min=1e-12).log2()).sum(1)
