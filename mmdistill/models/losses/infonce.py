from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class InfoNCELoss(DistillLoss):
    """Classify a sample's own key among the keys of a queue.

    Cross-entropy of the logits [<q, k>, q Q^T] / T with class 0, where the
    queries q and the keys k are L2-normalized.

    Papers: van den Oord et al., Representation Learning with Contrastive
    Predictive Coding, 2018, https://arxiv.org/abs/1807.03748; He et al.,
    Momentum Contrast for Unsupervised Visual Representation Learning, CVPR
    2020, https://arxiv.org/abs/1911.05722, eq. 1.

    Args:
        temperature: T, dimensionless; 0.1 in CoCoRD on CIFAR-100, 0.07 on
            ImageNet and in MoCo.
        level: representation that is contrasted; 'feature' contrasts the
            pooled features, whose widths must agree.
        loss_weight: factor on the loss.
    Shape:
        query: (N, D), the student's; key: (N, D), the teacher's; negatives:
        (M, D) unit vectors, M may be 0. Returns ().
    Config:
        losses=dict(nce=dict(type='InfoNCELoss', level='feature')),
        memories=dict(negatives=dict(type='FeatureQueue', size=2048))
    """

    level = 'embedding'
    needs = ('negatives',)

    def __init__(
        self,
        temperature: float = 0.1,
        level: str = 'embedding',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.temperature = temperature
        self.level = level

    @full_precision
    def forward(self, query: Tensor, key: Tensor, negatives: Tensor) -> Tensor:
        query, key = F.normalize(query), F.normalize(key)
        positive = (query * key).sum(dim=1, keepdim=True)
        scores = torch.cat([positive, query @ negatives.t()], dim=1)
        target = scores.new_zeros(len(scores), dtype=torch.long)
        return self.loss_weight * F.cross_entropy(
            scores / self.temperature, target
        )

    @full_precision
    def remember(self, student: Tensor, teacher: Tensor) -> dict[str, Tensor]:
        """The rows that enter the queue after the step: the keys."""
        return dict(negatives=F.normalize(teacher))
