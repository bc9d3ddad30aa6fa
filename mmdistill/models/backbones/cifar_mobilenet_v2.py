"""MobileNetV2 for 32x32 images, as in the RepDistiller benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmdistill.models.backbones.cifar_backbone import (
    KAIMING_FAN_OUT,
    CIFARBackbone,
)
from mmdistill.registry import MODELS

# (channels at factor 1, blocks, stride of the first) of the seven groups. In
# the paper's table 2 the second group has stride 2, too.
GROUPS = (
    (16, 1, 1),
    (24, 2, 1),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
)
# The groups that end a stage, as in the reference's feature list.
STAGE_ENDS = (1, 2, 4, 6)


def _conv_bn(
    in_channels: int, channels: int, kernel: int, stride: int, groups: int = 1
) -> list[nn.Module]:
    conv = nn.Conv2d(
        in_channels,
        channels,
        kernel,
        stride,
        kernel // 2,
        groups=groups,
        bias=False,
    )
    return [conv, nn.BatchNorm2d(channels)]


def _conv_bn_relu(*args: int) -> list[nn.Module]:
    return [*_conv_bn(*args), nn.ReLU(inplace=True)]


class CIFARInvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection; residual if shapes fit."""

    def __init__(
        self, in_channels: int, channels: int, stride: int, expand_ratio: int
    ) -> None:
        super().__init__()
        inner = in_channels * expand_ratio
        self.adds_input = stride == 1 and in_channels == channels
        self.conv = nn.Sequential(
            *_conv_bn_relu(in_channels, inner, 1, 1),
            *_conv_bn_relu(inner, inner, 3, stride, inner),
            *_conv_bn(inner, channels, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        return x + out if self.adds_input else out


@MODELS.register_module()
class CIFARMobileNetV2(CIFARBackbone):
    """MobileNetV2 for 32x32 images: a stem and seven groups of blocks.

    It has the parameters and names of RepDistiller's
    ``models/mobilenetv2.py``; the defaults give its MobileNetV2 (mobile_half).
    Pooling and the linear layer are MMPretrain's ``GlobalAveragePooling`` and
    ``LinearClsHead``.

    Stages end with the groups 2, 3, 5 and 7 of the paper's table 2, as in the
    reference's list of features. The pooled map is the last stage's after a
    1x1 convolution; it is map 5, the default, for the classifier.

    Paper: Sandler et al., MobileNetV2: Inverted Residuals and Linear
    Bottlenecks, CVPR 2018, https://arxiv.org/abs/1801.04381, as in
    https://github.com/HobbitLong/RepDistiller. That code has other strides
    than the paper and an expanding convolution in the first block, too.

    Args:
        widen_factor: factor on all channels, rounded down; the last 1280
            channels are scaled only by factors above 1.
        expand_ratio: ratio of inner to input channels of all blocks but the
            first.
        in_channels: channels of the image.
        out_indices: the maps to return: stem 0, stages 1 ... 4, pooled map 5;
            negative numbers count from the end.
        pre_activation: has no effect: blocks end without an activation, so
            the stages' maps are pre-activation anyway, as in the reference.
        init_cfg: the default is the reference's: Kaiming normal by fan out
            for convolutions, weight 1 and bias 0 for batch norms.
    Shape:
        x: (N, in_channels, H, W); returns a tuple of the chosen maps, shallow
        ones first: (N, C, H / s, W / s), rounded up, with
        C = 16, 12, 16, 48, 160, 1280 by default and s = 2, 2, 4, 8, 16, 16.
    Raises:
        ValueError: if widen_factor, expand_ratio or out_indices are not as
            described.
    Config:
        backbone=dict(type='CIFARMobileNetV2', widen_factor=0.5)
    """

    num_stages = 4
    has_pooled_map = True

    def __init__(
        self,
        widen_factor: float = 0.5,
        expand_ratio: int = 6,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if int(16 * widen_factor) < 1 or expand_ratio < 1:
            raise ValueError(
                f'CIFARMobileNetV2 has a widen_factor of at least 1/16 and an '
                f'expand_ratio of at least 1, got '
                f'widen_factor={widen_factor!r}, expand_ratio={expand_ratio!r}'
            )
        init_cfg = list(KAIMING_FAN_OUT) if init_cfg is None else init_cfg
        super().__init__(out_indices, pre_activation, init_cfg)
        channels = int(32 * widen_factor)
        self.conv1 = nn.Sequential(*_conv_bn_relu(in_channels, channels, 3, 2))
        self.blocks = nn.ModuleList()
        for width, count, stride in GROUPS:
            group = []
            for i in range(count):
                out_channels = int(width * widen_factor)
                group.append(
                    CIFARInvertedResidual(
                        channels,
                        out_channels,
                        stride if i == 0 else 1,
                        expand_ratio if self.blocks else 1,
                    )
                )
                channels = out_channels
            self.blocks.append(nn.Sequential(*group))
        last = int(1280 * max(widen_factor, 1))
        self.conv2 = nn.Sequential(*_conv_bn_relu(channels, last, 1, 1))

    def _maps(self, x: Tensor) -> list[Tensor]:
        x = self.conv1(x)
        maps = [x]
        for i, group in enumerate(self.blocks):
            x = group(x)
            if i in STAGE_ENDS:
                maps.append(x)
        return [*maps, self.conv2(x)]
