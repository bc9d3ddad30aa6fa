from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss, Phase, Shapes
from mmdistill.models.losses.maps import match_sizes
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class ABLoss(DistillLoss):
    """Match which neurons fire, in the warm-up phase before the task.

    It compares pre-activation maps, the student's s (after a connector) and
    the teacher's t, with margin m: (s + m)^2 where t <= 0 and s > -m, and
    (s - m)^2 where t > 0 and s <= m. The sum over elements is divided by the
    batch size, multiplied by 3 / 1000, and weighted with 2^(i - n + 1) for
    stage i of n. The loss is active in the warm-up phase only, see
    `TwoPhaseTrainLoop`.

    Paper: Heo et al., Knowledge Transfer via Distillation of Activation
    Boundaries Formed by Hidden Neurons, AAAI 2019,
    https://arxiv.org/abs/1811.03233, with the scale of the RepDistiller code.

    Args:
        student_channels, teacher_channels: widths of the maps; the
            distiller fills them in. Where they differ, a 1x1 convolution
            with BatchNorm maps the student's to the teacher's width.
        margin: m.
        loss_weight: factor on the loss.
    Shape:
        student, teacher: equally long sequences of (N, C_i, H_i, W_i);
        returns ().
    Config:
        losses=dict(ab=dict(type='ABLoss')),
        train_cfg=dict(type='TwoPhaseTrainLoop', ...)
    """

    level = 'maps'
    pre_activation = True
    phases = (Phase.WARMUP,)

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        margin: float = 1.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.margin = margin
        self.connectors = nn.ModuleList(
            nn.Identity()
            if s == t
            else nn.Sequential(nn.Conv2d(s, t, 1), nn.BatchNorm2d(t))
            for s, t in zip(student_channels, teacher_channels, strict=True)
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
        for i, (s, t) in enumerate(zip(student, teacher, strict=True)):
            s, t = match_sizes(self.connectors[i](s), t)
            weight = 2.0 ** (i - len(student) + 1)
            terms.append(weight * self._boundary(s, t).sum())
        loss = add_up(terms)
        return self.loss_weight * (loss / len(student[0]) * 3 / 1000)

    def _boundary(self, s: Tensor, t: Tensor) -> Tensor:
        silent = (s + self.margin).clamp(min=0).square() * (t <= 0)
        firing = (s - self.margin).clamp(max=0).square() * (t > 0)
        return silent + firing
