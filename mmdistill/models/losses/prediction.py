from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class PredictionLoss(DistillLoss):
    """Squared distance of L2-normalized vectors: mean of 2 - 2 cos(p, q).

    Papers: Fu et al., Contrastive Consistent Representation Distillation,
    BMVC 2023, eqs. 6 and 7 of https://openreview.net/forum?id=NSMlX2F21C7;
    Grill et al., Bootstrap Your Own Latent, NeurIPS 2020,
    https://arxiv.org/abs/2006.07733, eq. 2.

    Args:
        loss_weight: factor on the loss; 4 in CoCoRD.
    Shape:
        student: (N, D) predictions; teacher: (N, D) targets, detached.
        Returns ().
    Config:
        losses=dict(prediction=dict(type='PredictionLoss', loss_weight=4.0))
    """

    level = 'embedding'

    @full_precision
    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        cosine = F.cosine_similarity(student, teacher.detach(), dim=1)
        return self.loss_weight * (2 - 2 * cosine).mean()
