from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class KDLoss(DistillLoss):
    """Match the teacher's softened class probabilities.

    T^2 * mean_n KL(softmax(z_t / T) || softmax(z_s / T)).

    Paper: Hinton et al., Distilling the Knowledge in a Neural Network, 2015.

    Args:
        temperature: T, dimensionless; its square is included in the loss, so
            that gradients do not shrink as it grows.
        loss_weight: factor on the loss; 0.9 beside task_weight=0.1 in the
            CIFAR-100 tables.
    Shape:
        student, teacher: (N, K) logits; returns ().
    Config:
        losses=dict(kd=dict(type='KDLoss', temperature=4.0))
    """

    level = 'logits'

    def __init__(
        self, temperature: float = 4.0, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        self.temperature = temperature

    @full_precision
    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        divergence = F.kl_div(
            F.log_softmax(student / self.temperature, dim=1),
            F.log_softmax(teacher / self.temperature, dim=1),
            reduction='batchmean',
            log_target=True,
        )
        return self.loss_weight * self.temperature**2 * divergence
