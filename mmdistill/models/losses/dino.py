from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.soft_targets import as_views, soft_cross_entropy
from mmdistill.models.memories import RunningMean
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class DINOLoss(DistillLoss):
    """Predict the teacher's centered and sharpened prototype probabilities.

    Cross-entropy of softmax(z_s / tau_s) with softmax((z_t - c) / tau_t),
    where the center c is a running mean of the teacher's scores. A step
    subtracts the center from before its own update.

    Paper: Caron et al., Emerging Properties in Self-Supervised Vision
    Transformers, ICCV 2021, https://arxiv.org/abs/2104.14294, eqs. 2 to 4 and
    Algorithm 1.

    Args:
        num_prototypes: K; the distiller fills it in.
        student_temperature: tau_s; 0.1 in the paper.
        teacher_temperature: tau_t. The published code recommends 0.04 to
            start with and warns that most values above 0.07 are unstable.
        center_momentum: fraction of the old center kept each step (eq. 4).
        pairs: views compared: 'cross' (eq. 3), 'all', or 'same_and_local',
            see `view_pairs`.
        reduction: 'mean' or 'sum' over the pairs of views. Eq. 3 is a sum,
            the published code takes the mean.
        loss_weight: factor on the loss.
    Shape:
        student, teacher: (N, K) prototype scores, or lists with one (N, K)
        per view, global views first. Returns ().
    Raises:
        ValueError: for lists of views that leave no pair.
    Config:
        losses=dict(dino=dict(type='DINOLoss', teacher_temperature=0.04))
    """

    level = 'logits'
    multi_view = True

    def __init__(
        self,
        num_prototypes: int | None = None,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        center_momentum: float = 0.9,
        pairs: str = 'cross',
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.pairs = pairs
        self.reduction = reduction
        self.center = RunningMean(num_prototypes, center_momentum)

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(num_prototypes=student.dim)

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
    ) -> Tensor:
        student, teacher, pairs = as_views(student, teacher, self.pairs)
        targets = [self.assign(view) for view in teacher]
        if self.training:
            total = add_up(view.sum(dim=0) for view in teacher)
            self.center.update(total, sum(map(len, teacher)))  # eq. 4
        return self.loss_weight * soft_cross_entropy(
            student, targets, self.student_temperature, pairs, self.reduction
        )

    @torch.no_grad()
    def assign(self, teacher: Tensor) -> Tensor:
        """Target probabilities: (N, K) teacher scores to (N, K)."""
        centered = teacher - self.center.of(teacher)
        return F.softmax(centered / self.teacher_temperature, dim=1)
