from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.maps import match_sizes
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class HintLoss(DistillLoss):
    """Regress the teacher's intermediate map from the student's (FitNets).

    The mean over all elements of (r(f_s) - f_t)^2, where the regressor r is a
    trained 1x1 convolution with bias; summed over maps if several are chosen.
    With ``batch_norm_relu`` a BatchNorm and a ReLU follow the convolution, as
    in ``ConvReg`` of https://github.com/HobbitLong/RepDistiller, the code
    behind the CIFAR-100 tables.

    Paper: Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015,
    https://arxiv.org/abs/1412.6550, eq. 3 as a mean and without its 1/2,
    trained together with the task and not in a phase of its own. Where two
    maps differ in size, RepDistiller's regressor has strides; here the larger
    map is pooled.

    Args:
        student_channels, teacher_channels: widths of the chosen maps; the
            distiller fills them in. One number means one map.
        regressor: False compares the maps channel by channel.
        batch_norm_relu: add BatchNorm and ReLU to the regressor. Leave it out
            for pre-activation maps, which have negative values.
        loss_weight: factor on the loss; 100 in the CIFAR-100 tables.
    Shape:
        student, teacher: equally long sequences of (N, C_i, H_i, W_i); the
        larger map is pooled to the smaller. Returns ().
    Raises:
        ValueError: if the channels do not pair up, or differ without a
            regressor, or batch_norm_relu has no regressor.
    Config:
        losses=dict(hint=dict(type='HintLoss', batch_norm_relu=True,
                              loss_weight=100.0))
    """

    level = 'maps'
    maps = (2,)

    def __init__(
        self,
        student_channels: int | Sequence[int],
        teacher_channels: int | Sequence[int],
        regressor: bool = True,
        batch_norm_relu: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        pairs = channel_pairs('HintLoss', student_channels, teacher_channels)
        if not regressor and any(s != t for s, t in pairs):
            raise ValueError(
                'HintLoss with regressor=False compares maps channel by '
                f'channel, got student_channels={student_channels} and '
                f'teacher_channels={teacher_channels}; set regressor=True, '
                'or maps to some with equal channels'
            )
        if batch_norm_relu and not regressor:
            raise ValueError(
                'HintLoss with batch_norm_relu=True normalizes what the '
                'regressor gives, but regressor=False; set one of the two '
                'otherwise'
            )
        self.regressors = nn.ModuleList(
            _regressor(s, t, batch_norm_relu) if regressor else nn.Identity()
            for s, t in pairs
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
        for regressor, s, t in zip(
            self.regressors, student, teacher, strict=True
        ):
            s, t = match_sizes(s, t)
            terms.append(F.mse_loss(regressor(s), t))
        return self.loss_weight * add_up(terms)


def _regressor(
    in_channels: int, out_channels: int, batch_norm_relu: bool
) -> nn.Module:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)
    if not batch_norm_relu:
        return conv
    bn, relu = nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    return nn.Sequential(OrderedDict(conv=conv, bn=bn, relu=relu))


def channel_pairs(
    who: str,
    student_channels: int | Sequence[int],
    teacher_channels: int | Sequence[int],
) -> list[tuple[int, int]]:
    """Channels of the student's and the teacher's map, for each pair.

    Raises:
        ValueError: if the two sides have different numbers of maps.
    """
    sides = [
        (channels,) if isinstance(channels, int) else tuple(channels)
        for channels in (student_channels, teacher_channels)
    ]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(
            f'{who} compares maps one to one, got student_channels='
            f'{sides[0]} and teacher_channels={sides[1]}; give one number '
            'for each chosen map'
        )
    return list(zip(*sides, strict=True))
