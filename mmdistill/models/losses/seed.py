from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.soft_targets import as_views, mean_inner_product
from mmdistill.models.losses.view_pairs import view_pairs
from mmdistill.models.memories import FeatureQueue
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class SEEDLoss(DistillLoss):
    """Match the similarities to a queue of the teacher's features.

    Cross-entropy of softmax(<z_s, d_k> / tau_s) with the target softmax(<z_t,
    d_k> / tau_t). The keys d_k are the sample's own teacher feature and the
    queue of earlier teacher features. All vectors are L2-normalized.

    Paper: Fang et al., SEED: Self-supervised Distillation for Visual
    Representation, ICLR 2021, https://arxiv.org/abs/2101.04731, section 3.2.

    Args:
        dim: width of student and teacher; the distiller fills it in.
        queue_size: earlier teacher features that are kept; 65536 in the
            paper.
        queue_dtype: their storage dtype.
        student_temperature: tau_s; 0.2 in the paper.
        teacher_temperature: tau_t; 0.01 in the paper. The public code's 1e-4
            makes the target one-hot.
        pairs: views compared: 'same_and_local', 'all' or 'cross', see
            `view_pairs`. The own key is from the pair's teacher view.
        reduction: 'mean' or 'sum' over the pairs of views.
        loss_weight: factor on the loss.
    Shape:
        student, teacher: (N, D), or lists with one (N, D) per view, global
        views first. Returns ().
    Raises:
        ValueError: for lists of views that leave no pair.
    Config:
        losses=dict(seed=dict(type='SEEDLoss', queue_size=65536))
    """

    level = 'embedding'
    multi_view = True

    def __init__(
        self,
        dim: int,
        queue_size: int = 65536,
        queue_dtype: str = 'float32',
        student_temperature: float = 0.2,
        teacher_temperature: float = 0.01,
        pairs: str = 'same_and_local',
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.pairs = pairs
        self.reduction = reduction
        self.queue = FeatureQueue(queue_size, dim, queue_dtype)

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(dim=target.dim)

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
    ) -> Tensor:
        student, teacher, pairs = as_views(student, teacher, self.pairs)
        chosen, factor = view_pairs(
            len(student), len(teacher), pairs, self.reduction
        )
        keys = [F.normalize(view.detach()) for view in teacher]
        queue = self.queue.features.to(keys[0].dtype)
        targets = [self._assign(key, queue) for key in keys]
        queries = [F.normalize(v) / self.student_temperature for v in student]
        scores = [query @ queue.t() for query in queries]
        spread = [view.logsumexp(dim=1) for view in scores]
        terms = []
        for t, s in chosen:
            # Pairs of one student view differ in the own key only, so its
            # scores against the queue are computed, and kept, once.
            own = (queries[s] * keys[t]).sum(dim=1)
            normalizer = torch.logaddexp(own, spread[s])
            own_target, queue_target = targets[t]
            terms.append((normalizer - own_target * own).mean())
            terms.append(-mean_inner_product(queue_target, scores[s]))
        loss = self.loss_weight * factor * add_up(terms)
        self.after_backward(loss, lambda: self._enqueue(keys))
        return loss

    def _enqueue(self, keys: Sequence[Tensor]) -> None:
        # View by view: each is joined over the processes, so the rows have
        # the order that one process with the joined batch gives.
        for view in keys:
            self.queue.enqueue(view)

    @torch.no_grad()
    def _assign(self, key: Tensor, queue: Tensor) -> tuple[Tensor, Tensor]:
        """Target probabilities: own key (N,) and queue rows (N, M)."""
        own = (key * key).sum(dim=1, keepdim=True)
        scores = torch.cat([own, key @ queue.t()], dim=1)
        target = F.softmax(scores / self.teacher_temperature, dim=1)
        return target[:, 0], target[:, 1:]
