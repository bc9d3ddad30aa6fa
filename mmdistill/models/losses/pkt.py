from __future__ import annotations

import torch
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss
from mmdistill.registry import MODELS


@MODELS.register_module()
class PKTLoss(DistillLoss):
    """Match the probability that one sample takes another as its neighbor.

    The affinities S = (cos(x_i, x_j) + 1) / 2, diagonal included, divided by
    their row sums give the probabilities P. The loss is the mean over all N^2
    entries of P_t log((P_t + eps) / (P_s + eps)). This is the scale of the
    RepDistiller code, 1 / N of the mean divergence of the rows.

    Paper: Passalis and Tefas, Learning Deep Representations with
    Probabilistic Knowledge Transfer, ECCV 2018,
    https://arxiv.org/abs/1803.10837.

    Args:
        eps: added to norms and to probabilities.
        loss_weight: factor on the loss; 30000 in the CIFAR-100 tables.
    Shape:
        student: (N, D_s); teacher: (N, D_t); returns ().
    Config:
        losses=dict(pkt=dict(type='PKTLoss', loss_weight=30000.0))
    """

    level = 'feature'

    def __init__(self, eps: float = 1e-7, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.eps = eps

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = map(self._probabilities, (student, teacher))
        ratio = (teacher + self.eps) / (student + self.eps)
        return self.loss_weight * (teacher * ratio.log()).mean()

    def _probabilities(self, x: Tensor) -> Tensor:
        """Neighbor probabilities, rows sum to 1: (N, D) to (N, N)."""
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        x = x / (norm + self.eps)
        # cos = -1 can round below -1; clamp before the log.
        similarity = ((x @ x.t() + 1) / 2).clamp(min=0)
        return similarity / similarity.sum(dim=1, keepdim=True)
