from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.hint import channel_pairs
from mmdistill.models.losses.maps import match_sizes
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class VIDLoss(DistillLoss):
    """Maximize a variational bound on the maps' mutual information.

    The teacher's map is modeled as Gaussian. Its mean mu(f_s) is a network of
    three 1x1 convolutions with ReLU between them on the student's map, and
    each channel has a trained variance v_c = log(1 + exp(a_c)) + eps. The loss
    is the negative log-likelihood without its constant, the mean over all
    elements of 1/2 [(mu(f_s) - f_t)^2 / v + log v], summed over maps. It may
    be negative.

    Paper: Ahn et al., Variational Information Distillation for Knowledge
    Transfer, CVPR 2019, https://arxiv.org/abs/1904.05835.

    Args:
        student_channels, teacher_channels: widths of the chosen maps; the
            distiller fills them in. One number means one map.
        init_variance: initial v of every channel.
        eps: lower bound of the variances.
        loss_weight: factor on the loss; 1 in the CIFAR-100 tables.
    Shape:
        student, teacher: equally long sequences of (N, C_i, H_i, W_i); the
        larger map is pooled to the smaller. Returns ().
    Raises:
        ValueError: if the channels do not pair up, or if init_variance is
            not above eps.
    Config:
        losses=dict(vid=dict(type='VIDLoss'))
    """

    level = 'maps'

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        init_variance: float = 5.0,
        eps: float = 1e-5,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if init_variance <= eps:
            raise ValueError(
                'VIDLoss needs init_variance above eps, the smallest '
                f'variance, got init_variance={init_variance} and eps={eps}'
            )
        self.eps = eps
        pairs = channel_pairs('VIDLoss', student_channels, teacher_channels)
        self.regressors = nn.ModuleList(_regressor(s, t) for s, t in pairs)
        # log(exp(x) - 1) in a form that does not overflow for large x.
        excess = init_variance - eps
        log_scale = excess + math.log(-math.expm1(-excess))
        self.log_scales = nn.ParameterList(
            torch.full((t,), log_scale) for _, t in pairs
        )

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(
            student_channels=student.channels,
            teacher_channels=target.channels,
        )

    def forward(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor]
    ) -> Tensor:
        terms = []
        for regressor, log_scale, s, t in zip(
            self.regressors, self.log_scales, student, teacher, strict=True
        ):
            s, t = match_sizes(s, t)
            # The variance is per channel, so average its squared errors first.
            squared = F.mse_loss(regressor(s), t, reduction='none')
            squared = squared.mean(dim=(0, 2, 3))
            variance = F.softplus(log_scale) + self.eps
            terms.append(0.5 * (squared / variance + variance.log()).mean())
        return self.loss_weight * add_up(terms)


def _regressor(in_channels: int, out_channels: int) -> nn.Sequential:
    def conv1x1(channels: int) -> nn.Conv2d:
        return nn.Conv2d(channels, out_channels, kernel_size=1, bias=False)

    return nn.Sequential(
        conv1x1(in_channels),
        nn.ReLU(inplace=True),
        conv1x1(out_channels),
        nn.ReLU(inplace=True),
        conv1x1(out_channels),
    )
