"""ResNets of bottlenecks for 32x32 images."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.backbones.cifar_backbone import (
    KAIMING_FAN_OUT,
    CIFARBackbone,
    CIFARBlock,
)
from mmdistill.models.backbones.cifar_resnet import conv3x3
from mmdistill.registry import MODELS

EXPANSION = 4


class CIFARBottleneck(CIFARBlock):
    """1x1, 3x3 and 1x1 convolutions with a shortcut, projected if needed.

    Shape:
        x: (N, in_channels, H, W); returns (N, 4 * channels, H / stride,
        W / stride), rounded up.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = EXPANSION * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def before_relu(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        out += self.shortcut(x)
        return out


@MODELS.register_module()
class CIFARBottleneckResNet(CIFARBackbone):
    """ResNet for 32x32 images: a 3x3 stem and stages of bottlenecks.

    With the defaults it has the parameters and names of the ResNet50 of
    RepDistiller's ``models/resnetv2.py``; pooling and the linear layer are
    MMPretrain's ``GlobalAveragePooling`` and ``LinearClsHead``. MCL-OKD's
    resnet110 is ``blocks=(12, 12, 12), width=16``.

    Paper: He et al., Deep Residual Learning for Image Recognition, CVPR 2016,
    https://arxiv.org/abs/1512.03385, table 1 without the first stride and the
    max pooling, as in https://github.com/HobbitLong/RepDistiller.

    Args:
        blocks: bottlenecks in each stage.
        width: channels of the stem, and inside the bottlenecks of stage 1.
            They double from stage to stage; a stage outputs four times as
            many.
        in_channels: channels of the image.
        out_indices: the maps to return: stem 0, stages 1, 2, ...; negative
            numbers count from the end.
        pre_activation: return the stages' maps from before their last ReLU.
            The stem's map and the input of the next stage are unchanged. A
            neck that pools the last map then needs its own ReLU for the
            classifier to stay the same.
        init_cfg: the default is the reference's: Kaiming normal by fan out
            for convolutions, weight 1 and bias 0 for batch norms.
    Shape:
        x: (N, in_channels, H, W); returns a tuple of the chosen maps, shallow
        ones first: (N, width, H, W), then, for stage i,
        (N, 4 * width * 2**(i-1), H / 2**(i-1), W / 2**(i-1)), rounded up.
    Raises:
        ValueError: if blocks, width or out_indices are not as described.
    Config:
        backbone=dict(type='CIFARBottleneckResNet', blocks=(3, 4, 6, 3))
    """

    num_stages = 4

    def __init__(
        self,
        blocks: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if not blocks or min(blocks) < 1:
            raise ValueError(
                f'CIFARBottleneckResNet has at least one block in every '
                f'stage, such as (3, 4, 6, 3), got blocks={tuple(blocks)}'
            )
        if width < 1:
            raise ValueError(
                f'CIFARBottleneckResNet has a positive width, got '
                f'width={width!r}'
            )
        init_cfg = list(KAIMING_FAN_OUT) if init_cfg is None else init_cfg
        super().__init__(out_indices, pre_activation, init_cfg, len(blocks))
        self.conv1 = conv3x3(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for i, count in enumerate(blocks):
            stage = []
            for block in range(count):
                stride = 2 if i > 0 and block == 0 else 1
                stage.append(CIFARBottleneck(channels, width << i, stride))
                channels = EXPANSION * (width << i)
            self.add_module(f'layer{i + 1}', nn.Sequential(*stage))

    def _maps(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        maps = [x]
        for i in range(self.num_stages):
            stage_map, x = self._stage(self.get_submodule(f'layer{i + 1}'), x)
            maps.append(stage_map)
        return maps
