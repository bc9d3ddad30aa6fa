from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class SPLoss(DistillLoss):
    """Match the pairwise similarities of the samples in a batch.

    Each map is flattened to F (N, C H W), and the rows of G = F F^T are
    L2-normalized. The loss is ||G_t - G_s||_F^2 / N^2, summed over maps.

    Paper: Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV
    2019, https://arxiv.org/abs/1907.09682.

    Args:
        loss_weight: factor on the loss; 3000 in the CIFAR-100 tables.
    Shape:
        student, teacher: equally long sequences of (N, C_i, H_i, W_i); widths
        and sizes may differ, no map is pooled. Returns ().
    Config:
        losses=dict(sp=dict(type='SPLoss', loss_weight=3000.0))
    """

    level = 'maps'
    maps = 'last'

    def forward(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor]
    ) -> Tensor:
        return self.loss_weight * add_up(
            F.mse_loss(_similarity(s), _similarity(t))
            for s, t in zip(student, teacher, strict=True)
        )


def _similarity(x: Tensor) -> Tensor:
    """Row-normalized similarity matrix: (N, C, H, W) to (N, N)."""
    x = x.flatten(1)
    return F.normalize(x @ x.t())
