from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss
from mmdistill.ops import sinkhorn
from mmdistill.registry import MODELS


@MODELS.register_module()
class KDLoss(DistillLoss):
    """Match the teacher's softened class probabilities.

    T^2 * mean_n KL(p_t || softmax(z_s / T)), p_t = softmax(z_t / T).

    Papers: Hinton et al., Distilling the Knowledge in a Neural Network,
    NIPS Deep Learning Workshop 2014, https://arxiv.org/abs/1503.02531. p_t
    by Sinkhorn-Knopp: Lee, Prototypical Contrastive Predictive Coding, ICLR
    2022, https://openreview.net/forum?id=8la28hZOwug, Table 8.

    Args:
        temperature: T, dimensionless. The loss includes T^2, so gradients do
            not shrink as T grows.
        assignment: how p_t is made from z_t / T: 'softmax' per sample, or
            'sinkhorn' over the batch, which uses all classes equally.
        sinkhorn_iterations: Sinkhorn iterations.
        loss_weight: factor on the loss; 0.9 with task_weight=0.1 in the
            CIFAR-100 tables.
    Shape:
        student, teacher: (N, K) logits; returns ().
    Raises:
        ValueError: for an unknown assignment.
    Config:
        losses=dict(kd=dict(type='KDLoss', temperature=4.0))
    """

    level = 'logits'

    def __init__(
        self,
        temperature: float = 4.0,
        assignment: str = 'softmax',
        sinkhorn_iterations: int = 3,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if assignment not in ('softmax', 'sinkhorn'):
            raise ValueError(
                "KDLoss knows assignment='softmax' and 'sinkhorn', got "
                f'{assignment!r}'
            )
        self.temperature = temperature
        self.assignment = assignment
        self.sinkhorn_iterations = sinkhorn_iterations

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        divergence = F.kl_div(
            F.log_softmax(student / self.temperature, dim=1),
            self._log_targets(teacher),
            reduction='batchmean',
            log_target=True,
        )
        return self.loss_weight * self.temperature**2 * divergence

    def _log_targets(self, teacher: Tensor) -> Tensor:
        if self.assignment == 'softmax':
            return F.log_softmax(teacher / self.temperature, dim=1)
        targets = sinkhorn(teacher, self.temperature, self.sinkhorn_iterations)
        return targets.clamp(min=torch.finfo(targets.dtype).tiny).log()
