from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss, Phase, Shapes
from mmdistill.models.losses.maps import match_sizes
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class FSPLoss(DistillLoss):
    """Match the flow between consecutive maps, in the warm-up phase.

    The FSP matrix of two consecutive maps b and a, pooled to the smaller size,
    is G_ij = mean over positions of a_i b_j. The loss is the mean of
    (G_s - G_t)^2, summed over the pairs of maps. It is active in the warm-up
    phase only, see `TwoPhaseTrainLoop`.

    Paper: Yim et al., A Gift from Knowledge Distillation: Fast Optimization,
    Network Minimization and Transfer Learning, CVPR 2017, eq. 1,
    https://doi.org/10.1109/CVPR.2017.754.

    Args:
        student_channels, teacher_channels: widths of the maps; the
            distiller fills them in. They must agree.
        loss_weight: factor on the loss; 1 in the warm-up phase of the
            RepDistiller code.
    Shape:
        student, teacher: equally long sequences of (N, C_i, H_i, W_i) with
        equal C_i; returns ().
    Raises:
        ValueError: if widths differ or there is only one map.
    Config:
        losses=dict(fsp=dict(type='FSPLoss')),
        train_cfg=dict(type='TwoPhaseTrainLoop', ...)
    """

    level = 'maps'
    maps = 'all'
    phases = (Phase.WARMUP,)

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        student, teacher = tuple(student_channels), tuple(teacher_channels)
        if student != teacher:
            raise ValueError(
                f'FSPLoss compares maps of equal widths, but the student has '
                f'{student} and the teacher {teacher}; choose a pair of one '
                'style (such as resnet56 and resnet20), or a method that '
                'connects different widths (HintLoss, ABLoss, VIDLoss)'
            )
        if len(student) < 2:
            raise ValueError(
                'FSPLoss needs two maps or more, got the widths of '
                f"{len(student)}; set maps='all', or two numbers"
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
        return self.loss_weight * add_up(
            F.mse_loss(_flow(*s), _flow(*t))
            for s, t in zip(pairwise(student), pairwise(teacher), strict=True)
        )


def _flow(b: Tensor, a: Tensor) -> Tensor:
    """G: (N, C_b, H, W) and (N, C_a, h, w) to (N, C_a, C_b)."""
    a, b = match_sizes(a, b)
    a, b = a.flatten(2), b.flatten(2)
    return a @ b.transpose(1, 2) / a.shape[2]
