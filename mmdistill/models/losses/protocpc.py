from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.soft_targets import as_views, soft_cross_entropy
from mmdistill.models.memories import RunningMean
from mmdistill.ops import add_up, sinkhorn
from mmdistill.registry import MODELS


@MODELS.register_module()
class ProtoCPCLoss(DistillLoss):
    """Prototypical contrastive predictive coding.

    -<p_t, z_s / tau_s> + log sum_k prior_k exp(z_s^(k) / tau_s), where p_t is
    the teacher's soft assignment to the prototypes. The prior is a running
    mean of p_t over samples; it takes the place of negative samples.

    Paper: Lee, Prototypical Contrastive Predictive Coding, ICLR 2022,
    https://openreview.net/forum?id=8la28hZOwug, Algorithm 1, eqs. 7, 10, 12,
    14, 16 and 17.

    Args:
        num_prototypes: K; the distiller fills it in.
        student_temperature: tau_s; 0.1, and 4 for class scores (A.2.3).
        teacher_temperature: tau_t; 0.04, and 4 for class scores.
        prior_momentum: fraction of the old prior kept each step (Table 7).
        assignment: 'sinkhorn', or 'softmax' as in Table 8.
        sinkhorn_iterations: Sinkhorn iterations; 3 in the paper.
        scale_by_temperature: multiply by tau_s^2 as in eq. 14, for class
            scores.
        pairs: views compared: 'cross' (eq. 17), 'all', or 'same_and_local'
            (eq. 16), see `view_pairs`.
        reduction: 'mean' or 'sum' over the pairs of views.
        loss_weight: factor on the loss; 1.75 in the CIFAR-100 tables.
    Shape:
        student, teacher: (N, K) logits, or lists with one (N, K) per view,
        global views first. Returns ().
    Raises:
        ValueError: for an unknown assignment, or lists of views that leave
            no pair.
    Config:
        losses=dict(protocpc=dict(
            type='ProtoCPCLoss', student_temperature=4.0,
            teacher_temperature=4.0, scale_by_temperature=True,
            loss_weight=1.75))
    """

    level = 'logits'
    multi_view = True

    def __init__(
        self,
        num_prototypes: int | None = None,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        prior_momentum: float = 0.9,
        assignment: str = 'sinkhorn',
        sinkhorn_iterations: int = 3,
        scale_by_temperature: bool = False,
        pairs: str = 'cross',
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if assignment not in ('sinkhorn', 'softmax'):
            raise ValueError(
                "ProtoCPCLoss knows assignment='sinkhorn' and "
                f"'softmax', got {assignment!r}"
            )
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature
        self.assignment = assignment
        self.sinkhorn_iterations = sinkhorn_iterations
        self.scale = student_temperature**2 if scale_by_temperature else 1.0
        self.pairs = pairs
        self.reduction = reduction
        # It sums to K: a uniform prior gives the plain log-sum-exp.
        self.prior = RunningMean(num_prototypes, prior_momentum, initial=1.0)

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
            total = add_up(target.sum(dim=0) for target in targets)
            count = sum(map(len, targets))
            # Eq. 10 over all views and processes.
            self.prior.update(total, count, factor=len(total))
        loss = soft_cross_entropy(
            student,
            targets,
            self.student_temperature,
            pairs,
            self.reduction,
            self.prior.of(targets[0]).log(),
        )
        return self.loss_weight * self.scale * loss

    @torch.no_grad()
    def assign(self, teacher: Tensor) -> Tensor:
        """Soft assignment p_t to the prototypes: (N, K) logits to (N, K)."""
        if self.assignment == 'softmax':
            return F.softmax(teacher / self.teacher_temperature, dim=1)
        return sinkhorn(
            teacher, self.teacher_temperature, self.sinkhorn_iterations
        )
