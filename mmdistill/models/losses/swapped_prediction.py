from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss
from mmdistill.models.losses.soft_targets import as_views, soft_cross_entropy
from mmdistill.models.memories import FeatureQueue
from mmdistill.ops import (
    full_precision,
    l2_normalize,
    rank,
    sinkhorn,
    world_size,
)
from mmdistill.registry import MODELS


@MODELS.register_module()
class SwappedPredictionLoss(DistillLoss):
    """Predict the code of one view from another view of the same image.

    Cross-entropy of softmax(z / tau) with the codes q, the Sinkhorn
    assignment of the teacher's scores to equally used prototypes. If student
    and teacher are the same network this is SwAV; otherwise it is
    distillation.

    Papers: Caron et al., Unsupervised Learning of Visual Features by
    Contrasting Cluster Assignments, NeurIPS 2020,
    https://arxiv.org/abs/2006.09882, eqs. 1 to 3 and 6; Choi et al.,
    Unsupervised Representation Transfer for Small Networks: I Believe I Can
    Distill On-the-Fly (OSS), NeurIPS 2021
    (https://proceedings.neurips.cc/paper/2021), eqs. 2 to 5.

    Args:
        temperature: tau; 0.1 in both papers.
        epsilon: regularization of the codes, in units of the scores; 0.05.
        iterations: Sinkhorn iterations; 3.
        pairs: views compared: 'cross', 'all' or 'same_and_local', see
            `view_pairs`.
        reduction: 'mean' over the pairs, which equals SwAV's mean over the
            full crops of the mean over all other crops; 'sum' as in OSS, eqs.
            2, 4 and 5. OSS also sums over samples; here samples are always
            averaged, so the batch size does not scale the learning rate.
        queue_size: embeddings of earlier samples that are kept of each of two
            full crops, to balance the codes (`OSS`); 0 for none.
        dim: their width.
        loss_weight: factor on the loss.
    Shape:
        student, teacher: (N, K) prototype scores, or lists with one (N, K)
        per view, full crops first; the teacher has the full crops only.
        Returns ().
    Raises:
        ValueError: for lists of views that leave no pair, or queues outside of
            `OSS`.
    Config:
        losses=dict(swap=dict(type='SwappedPredictionLoss', epsilon=0.05))
    """

    level = 'logits'
    multi_view = True

    def __init__(
        self,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        pairs: str = 'cross',
        reduction: str = 'mean',
        queue_size: int = 0,
        dim: int | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.temperature = temperature
        self.epsilon = epsilon
        self.iterations = iterations
        self.pairs = pairs
        self.reduction = reduction
        count = 2 if queue_size else 0
        queues = nn.ModuleList(
            FeatureQueue(queue_size, dim) for _ in range(count)
        )
        self.queues = cast(Sequence[FeatureQueue], queues)

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
    ) -> Tensor:
        if self.queues:
            raise ValueError(
                'SwappedPredictionLoss.queue_size keeps embeddings for OSS, '
                'which alone fills its queues; leave it out, or use '
                "model.type='OSS'"
            )
        student, teacher, pairs = as_views(student, teacher, self.pairs)
        codes = [self.codes(view) for view in teacher]
        return self.predict(student, codes, pairs)

    @torch.no_grad()
    def codes_of(
        self,
        crops: Sequence[Tensor],
        prototypes: Callable[[Tensor], Tensor],
    ) -> list[Tensor]:
        """The codes of the full crops, each with its queue if that is full.

        Args:
            crops: scores of each full crop.
            prototypes: scores L2-normalized embeddings, as those in the
                queues.
        Shape:
            crops: lists of (N, K); returns as many (N, K).
        """
        codes = []
        for i, scores in enumerate(crops):
            earlier = None
            if self.queues and len(self.queues[i]) == self.queues[i].size:
                # Sinkhorn runs over all processes, so each one adds only its
                # slice of the queue.
                share = self.queues[i].features[rank() :: world_size()]
                earlier = prototypes(share)
            codes.append(self.codes(scores, earlier))
        return codes

    def remember(self, value: Tensor, crops: Sequence[Tensor]) -> None:
        """Give the queues the embeddings of the full crops after the step.

        Args:
            value: a loss of this step.
            crops: (N, D) embedding of each full crop.
        """
        rows = [l2_normalize(crop.detach()) for crop in crops]
        self.after_backward(value, lambda: self.enqueue(rows))

    def enqueue(self, rows: Sequence[Tensor]) -> None:
        """Give the queues unit vectors, (N, D) of each full crop."""
        for queue, row in zip(self.queues, rows, strict=False):
            queue.enqueue(row)

    @full_precision
    @torch.no_grad()
    def codes(
        self, scores: Tensor, queue_scores: Tensor | None = None
    ) -> Tensor:
        """Soft assignments of one view's samples to the prototypes.

        Args:
            scores: scores of this process's samples.
            queue_scores: scores of earlier samples, which only help to
                balance the prototypes. Sinkhorn runs over all processes, so
                each passes its own slice of the queue.
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
        """The weighted loss of views, given their codes.

        Args:
            views: the student's scores, full crops first.
            codes: codes of the full crops, in the same order.
            pairs: overrides the ``pairs`` of the loss.
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
