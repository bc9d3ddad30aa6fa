from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.models.losses.soft_targets import as_views, soft_cross_entropy
from mmdistill.ops import full_precision, sinkhorn
from mmdistill.registry import MODELS


@MODELS.register_module()
class SwappedPredictionLoss(DistillLoss):
    """Predict the code of one view from another view of the same image.

    Cross-entropy of softmax(z / tau) with the codes q, the Sinkhorn
    assignment of the teacher's scores to equally used prototypes. With the
    same scores on both sides it is SwAV, with a teacher's it distills.

    Papers: Caron et al., Unsupervised Learning of Visual Features by
    Contrasting Cluster Assignments, NeurIPS 2020, eqs. 1 to 3 and 6; Choi et
    al., On-the-fly self-supervised distillation, eqs. 2 to 5 (seed
    003_807af9c198cb5496.txt).

    Args:
        temperature: tau; 0.1 in both papers.
        epsilon: regularization of the codes, in units of the scores; 0.05.
        iterations: Sinkhorn iterations; 3.
        pairs: views compared: 'cross', 'all' or 'same_and_local', see
            `view_pairs`.
        reduction: 'mean' over the pairs, which is SwAV's mean over the full
            crops of the mean over all other crops; 'sum' as in the second
            paper's eqs. 2, 4 and 5. Those also sum over the samples, here it
            is their mean in any case, so that the batch size does not scale
            the learning rate.
        loss_weight: factor on the loss.
    Shape:
        student, teacher: (N, K) scores of the prototypes, or lists with one
        (N, K) a view, full crops first; the teacher's are the full crops.
        Returns ().
    Raises:
        ValueError: for lists of views that leave no pair.
    Config:
        losses=dict(swap=dict(type='SwappedPredictionLoss', epsilon=0.05))
    """

    level = 'logits'
    views = True

    def __init__(
        self,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        pairs: str = 'cross',
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.temperature = temperature
        self.epsilon = epsilon
        self.iterations = iterations
        self.pairs = pairs
        self.reduction = reduction

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
    ) -> Tensor:
        student, teacher, pairs = as_views(student, teacher, self.pairs)
        codes = [self.codes(view) for view in teacher]
        return self.predict(student, codes, pairs)

    @full_precision
    @torch.no_grad()
    def codes(
        self, scores: Tensor, queue_scores: Tensor | None = None
    ) -> Tensor:
        """Soft assignments of one view's samples to the prototypes.

        Args:
            scores: of this process's samples.
            queue_scores: of earlier samples, which only share in the
                balance. With several processes each gives its own part of
                the queue, since the assignment is over all of them.
        Shape:
            scores: (N, K); queue_scores: (M, K). Returns (N, K).
        """
        rows = scores
        if queue_scores is not None:
            rows = torch.cat([scores, queue_scores])
        return sinkhorn(rows, self.epsilon, self.iterations)[: len(scores)]

    @full_precision
    def predict(
        self,
        views: Sequence[Tensor],
        codes: Sequence[Tensor],
        pairs: str | None = None,
    ) -> Tensor:
        """The weighted loss of views whose targets are known.

        Args:
            views: scores of the student, full crops first.
            codes: of the full crops, in the same order.
            pairs: in place of the loss's own.
        Shape:
            views, codes: lists of (N, K). Returns ().
        """
        return self.loss_weight * soft_cross_entropy(
            views,
            codes,
            self.temperature,
            pairs or self.pairs,
            self.reduction,
        )
