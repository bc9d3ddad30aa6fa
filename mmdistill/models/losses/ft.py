from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss, Phase, Shapes
from mmdistill.models.losses.maps import match_sizes
from mmdistill.registry import MODELS


@MODELS.register_module()
class FTLoss(DistillLoss):
    """Match the factors of a paraphraser (teacher) and a translator (student).

    Warm-up phase: the paraphraser, an autoencoder with a bottleneck of
    rate * C_t channels, learns to reconstruct the teacher's map (mean squared
    error). Main phase: the paraphraser is frozen, and a translator maps the
    student's map to factors of the same width. The loss is the mean absolute
    difference of the two factors' L2-normalized channel means of squares.

    Paper: Kim et al., Paraphrasing Complex Network: Network Compression via
    Factor Transfer, NeurIPS 2018, https://arxiv.org/abs/1802.04977, in the
    form of the RepDistiller code.

    Args:
        student_channels, teacher_channels: widths of the map; the distiller
            fills them in.
        rate: width of the factors as a fraction of the teacher's channels.
        loss_weight: factor on the main phase's loss; 500 in the CIFAR-100
            tables. The reconstruction loss of the warm-up is not weighted.
    Shape:
        student, teacher: sequences of one map, (N, C_s, H, W) and (N, C_t, h,
        w); returns (). The warm-up phase does not use the student.
    Raises:
        ValueError: if more than one map is chosen.
    Config:
        losses=dict(ft=dict(type='FTLoss', loss_weight=500.0)),
        train_cfg=dict(type='TwoPhaseTrainLoop', ...)
    """

    level = 'maps'
    maps = 'last'
    phases = (Phase.WARMUP, Phase.MAIN)

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        rate: float = 0.5,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        student = _single(student_channels)
        teacher = _single(teacher_channels)
        factors = max(1, int(teacher * rate))
        self.paraphraser = _layers(nn.Conv2d, teacher, teacher, factors)
        self.reconstructor = _layers(
            nn.ConvTranspose2d, factors, factors, teacher, teacher
        )
        self.translator = _layers(
            nn.Conv2d, student, student, factors, norm=True
        )

    def reads_student(self) -> bool:
        """Whether the current phase uses the student."""
        return self.phase == Phase.MAIN

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(
            student_channels=student.channels,
            teacher_channels=target.channels,
        )

    def forward(
        self, student: Sequence[Tensor] | None, teacher: Sequence[Tensor]
    ) -> Tensor:
        (target,) = teacher
        if self.phase == Phase.WARMUP:
            again = self.reconstructor(self.paraphraser(target))
            return F.mse_loss(again, target)
        with torch.no_grad():
            target = self.paraphraser(target)
        assert student is not None  # None only where it is not read
        s, t = match_sizes(self.translator(student[0]), target)
        return self.loss_weight * F.l1_loss(_factor(s), _factor(t))


def _single(channels: int | Sequence[int]) -> int:
    if isinstance(channels, int):
        return channels
    if len(channels) != 1:
        raise ValueError(
            f'FTLoss compares one map, got the widths of {len(channels)}; '
            "set maps='last', or one number"
        )
    return channels[0]


def _layers(
    convolution: type[nn.Module], *widths: int, norm: bool = False
) -> nn.Sequential:
    """Three 3x3 convolutions; the last width is repeated if one is missing."""
    sizes = [*widths, widths[-1]][:4]
    layers: list[nn.Module] = []
    for i, o in zip(sizes[:-1], sizes[1:], strict=True):
        layers.append(convolution(i, o, 3, padding=1))
        if norm:
            layers.append(nn.BatchNorm2d(o))
        layers.append(nn.LeakyReLU(0.1, inplace=True))
    return nn.Sequential(*layers)


def _factor(x: Tensor) -> Tensor:
    return F.normalize(x.square().mean(dim=1).flatten(1))
