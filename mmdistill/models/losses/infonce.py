from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class InfoNCELoss(DistillLoss):
    """Tell a sample's own key from the keys in a queue.

    Cross-entropy of [<q, k>, q Q^T] / T with the first entry as the class, of
    L2-normalized queries q and keys k.

    Papers: van den Oord et al., Contrastive Predictive Coding, 2018; He et
    al., Momentum Contrast, CVPR 2020, eq. 1.

    Args:
        temperature: T, dimensionless; 0.1 for CoCoRD on CIFAR-100 (0.07 on
            ImageNet and in MoCo).
        level: representation that is contrasted; 'feature' compares pooled
            features of student and teacher where their widths agree.
        loss_weight: factor on the loss.
    Shape:
        query: (N, D) of the student; key: (N, D) of the teacher; negatives:
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
        """What goes into the memories after the step: the teacher's keys."""
        return dict(negatives=F.normalize(teacher))
