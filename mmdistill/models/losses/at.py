from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss
from mmdistill.models.losses.maps import match_sizes
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class ATLoss(DistillLoss):
    """Match the attention maps: where in the image the channels respond.

    A stage's attention map is Q(f) = vec(mean_c f_c^p) / ||.||_2. The loss is
    the mean over samples and positions of (Q_s - Q_t)^2, summed over stages.
    The paper sums the squares; this is the mean, as in the RepDistiller code
    behind the CIFAR-100 tables.

    Paper: Zagoruyko and Komodakis, Paying More Attention to Attention:
    Improving the Performance of Convolutional Neural Networks via Attention
    Transfer, ICLR 2017, https://arxiv.org/abs/1612.03928, eq. 2.

    Args:
        power: p.
        loss_weight: factor on the loss; 1000 in the CIFAR-100 tables.
    Shape:
        student, teacher: equally long sequences of (N, C_i, H_i, W_i); widths
        may differ; the larger map is pooled to the smaller. Returns ().
    Config:
        losses=dict(at=dict(type='ATLoss', loss_weight=1000.0))
    """

    level = 'maps'

    def __init__(
        self,
        power: int = 2,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.power = power

    def forward(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor]
    ) -> Tensor:
        return self.loss_weight * add_up(
            self._distance(*match_sizes(s, t))
            for s, t in zip(student, teacher, strict=True)
        )

    def _distance(self, s: Tensor, t: Tensor) -> Tensor:
        return F.mse_loss(self._attention(s), self._attention(t))

    def _attention(self, x: Tensor) -> Tensor:
        return F.normalize(x.pow(self.power).mean(dim=1).flatten(1))
