from __future__ import annotations

from torch import Tensor

from mmdistill.models.losses import DistillLoss, KDLoss
from mmdistill.registry import MODELS


@MODELS.register_module()
class StandardizedKDLoss(DistillLoss):
    """Knowledge distillation of logits that are standardized per sample.

    KDLoss of (z - mean_k z) / std_k z on both sides: the student learns how
    the teacher ranks the classes, not how large its logits are.

    Paper: Sun et al., Logit Standardization in Knowledge Distillation, CVPR
    2024, https://arxiv.org/abs/2403.01427, algorithm 1.

    Args:
        temperature: base temperature, dimensionless; 2 in the paper.
        loss_weight: factor on the loss.
    Shape:
        student, teacher: (N, K) logits; returns ().
    Config:
        losses=dict(kd=dict(type='StandardizedKDLoss', loss_weight=9.0))
    """

    level = 'logits'

    def __init__(
        self, temperature: float = 2.0, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        self.kd = KDLoss(temperature)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        value = self.kd(standardize(student), standardize(teacher))
        return self.loss_weight * value


def standardize(logits: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 in every row of (N, K)."""
    std = logits.std(dim=1, keepdim=True)
    return (logits - logits.mean(dim=1, keepdim=True)) / (std + 1e-7)
