from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.memories import FeatureQueue
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
        dim: width of query and key; the distiller fills it in.
        queue_size: earlier keys that are kept; 2048 in CoCoRD on CIFAR-100,
            65536 on ImageNet.
        queue_dtype: their storage dtype.
        temperature: T, dimensionless; 0.1 in CoCoRD on CIFAR-100, 0.07 on
            ImageNet and in MoCo.
        loss_weight: factor on the loss.
    Shape:
        query: (N, D), the student's; key: (N, D), the teacher's. Returns ().
    Config:
        losses=dict(nce=dict(type='InfoNCELoss', level='feature',
                             queue_size=2048))
    """

    level = 'embedding'

    def __init__(
        self,
        dim: int,
        queue_size: int = 2048,
        queue_dtype: str = 'float32',
        temperature: float = 0.1,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.temperature = temperature
        self.queue = FeatureQueue(queue_size, dim, queue_dtype)

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(dim=target.dim)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        query, key = F.normalize(query), F.normalize(key)
        positive = (query * key).sum(dim=1, keepdim=True)
        rows = self.queue.features.to(query.dtype)
        scores = torch.cat([positive, query @ rows.t()], dim=1)
        target = scores.new_zeros(len(scores), dtype=torch.long)
        loss = self.loss_weight * F.cross_entropy(
            scores / self.temperature, target
        )
        self.after_backward(loss, lambda: self.queue.enqueue(key.detach()))
        return loss
