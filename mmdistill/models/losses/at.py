from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.models.losses.maps import match_sizes
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class ATLoss(DistillLoss):
    """Match where the teacher looks: spatial maps of channel energy.

    Per stage Q(f) = vec(mean_c f_c^p) / ||.||_2; the loss is the mean over
    samples and positions of (Q_s - Q_t)^2, summed over stages. The mean, not
    the sum of squares, as in the reference code of the CIFAR-100 tables.

    Paper: Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR
    2017.

    Args:
        power: p.
        maps: which maps are compared, see `DistillLoss.maps`.
        loss_weight: factor on the loss; 1000 in the CIFAR-100 tables.
    Shape:
        student, teacher: equally long sequences of (N, C_i, H_i, W_i); widths
        may differ, and of two sizes the larger is pooled. Returns ().
    Config:
        losses=dict(at=dict(type='ATLoss', loss_weight=1000.0))
    """

    level = 'maps'

    def __init__(
        self,
        power: int = 2,
        maps: str | Sequence[int] = 'stages',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.power = power
        self.maps = maps

    @full_precision
    def forward(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor]
    ) -> Tensor:
        return self.loss_weight * sum(
            F.mse_loss(*map(self._attention, match_sizes(s, t)))
            for s, t in zip(student, teacher, strict=True)
        )

    def _attention(self, x: Tensor) -> Tensor:
        return F.normalize(x.pow(self.power).mean(dim=1).flatten(1))
