from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class PredictionLoss(DistillLoss):
    """Squared distance of unit vectors: mean of 2 - 2 cos(p, q).

    Paper: Contrastive Consistent Representation Distillation, eqs. 6 and 7
    (seed 001_02abce66d45175a2.txt); Grill et al., BYOL, NeurIPS 2020.

    Args:
        loss_weight: factor on the loss; 4 in CoCoRD.
    Shape:
        student: (N, D) predictions; teacher: (N, D) targets, which get no
        gradient. Returns ().
    Config:
        losses=dict(prediction=dict(type='PredictionLoss', loss_weight=4.0))
    """

    level = 'embedding'

    @full_precision
    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        cosine = F.cosine_similarity(student, teacher.detach(), dim=1)
        return self.loss_weight * (2 - 2 * cosine).mean()
