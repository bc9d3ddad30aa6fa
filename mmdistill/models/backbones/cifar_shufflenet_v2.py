"""ShuffleNet V2 for 32x32 images, as in the RepDistiller benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import channel_shuffle
from torch import Tensor, nn

from mmdistill.models.backbones.cifar_backbone import CIFARBackbone, CIFARBlock
from mmdistill.registry import MODELS

STEM = 24


def _conv1x1(in_channels: int, channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, 1, bias=False)


def _depthwise3x3(channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels, channels, 3, stride, 1, groups=channels, bias=False
    )


class CIFARShuffleV2Unit(CIFARBlock):
    """Pass half of the channels through, transform the rest, shuffle both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = _conv1x1(half, half)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = _depthwise3x3(half, stride=1)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = _conv1x1(half, half)
        self.bn3 = nn.BatchNorm2d(half)

    def before_relu(self, x: Tensor) -> Tensor:
        """Both halves before the shuffle; the first is already activated."""
        passing, out = x.chunk(2, dim=1)
        out = F.relu(self.bn1(self.conv1(out)), inplace=True)
        out = self.bn2(self.conv2(out))
        return torch.cat([passing, self.bn3(self.conv3(out))], 1)

    def after_relu(self, x: Tensor) -> Tensor:
        return channel_shuffle(x, 2)


class CIFARShuffleV2Down(CIFARBlock):
    """Two branches of stride 2, concatenated and shuffled."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = _depthwise3x3(in_channels, stride=2)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = _conv1x1(in_channels, half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = _conv1x1(in_channels, half)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = _depthwise3x3(half, stride=2)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = _conv1x1(half, half)
        self.bn5 = nn.BatchNorm2d(half)

    def before_relu(self, x: Tensor) -> Tensor:
        left = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        right = F.relu(self.bn3(self.conv3(x)), inplace=True)
        right = self.bn5(self.conv5(self.bn4(self.conv4(right))))
        return torch.cat([left, right], 1)

    def after_relu(self, x: Tensor) -> Tensor:
        return channel_shuffle(x, 2)


@MODELS.register_module()
class CIFARShuffleNetV2(CIFARBackbone):
    """ShuffleNet V2 for 32x32 images: a 1x1 stem and three stages of units.

    With the defaults it has the parameters and names of the ShuffleV2 of
    RepDistiller's ``models/ShuffleNetv2.py``; pooling and the linear layer
    are MMPretrain's ``GlobalAveragePooling`` and ``LinearClsHead``.

    The pooled map is the last stage's after a 1x1 convolution; it is map 4,
    the default, for the classifier.

    Paper: Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN
    Architecture Design, ECCV 2018, https://arxiv.org/abs/1807.11164, table 5,
    as in https://github.com/HobbitLong/RepDistiller.

    Args:
        widths: channels of the three stages and of the last convolution.
        blocks: units per stage after the one with stride 2.
        in_channels: channels of the image.
        out_indices: the maps to return: stem 0, stages 1, 2, 3, pooled map 4;
            negative numbers count from the end.
        pre_activation: return the stages' maps from before their last ReLU
            and, as in the reference, before their last shuffle; stem and
            pooled map are unchanged.
        init_cfg: the default is torch's initialization, as in the reference.
    Shape:
        x: (N, in_channels, H, W); returns a tuple of the chosen maps, shallow
        ones first: (N, 24, H, W), then, for stage i,
        (N, widths[i-1], H / 2**i, W / 2**i), rounded up, and
        (N, widths[3], H / 8, W / 8).
    Raises:
        ValueError: if widths, blocks or out_indices are not as described.
    Config:
        backbone=dict(type='CIFARShuffleNetV2')
    """

    has_pooled_map = True

    def __init__(
        self,
        widths: Sequence[int] = (116, 232, 464, 1024),
        blocks: Sequence[int] = (3, 7, 3),
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if (
            len(widths) != 4
            or min(widths) < 2
            or any(width % 2 for width in widths[:3])
        ):
            raise ValueError(
                f'CIFARShuffleNetV2 has four widths, the first three even, '
                f'such as (116, 232, 464, 1024), got widths={tuple(widths)}'
            )
        if len(blocks) != 3 or min(blocks) < 0:
            raise ValueError(
                f'CIFARShuffleNetV2 has three numbers of blocks, such as '
                f'(3, 7, 3), got blocks={tuple(blocks)}'
            )
        super().__init__(out_indices, pre_activation, init_cfg)
        *stages, last = widths
        self.conv1 = _conv1x1(in_channels, STEM)
        self.bn1 = nn.BatchNorm2d(STEM)
        before = STEM
        for i, (width, count) in enumerate(
            zip(stages, blocks, strict=True), 1
        ):
            units = [CIFARShuffleV2Unit(width) for _ in range(count)]
            stage = nn.Sequential(CIFARShuffleV2Down(before, width), *units)
            self.add_module(f'layer{i}', stage)
            before = width
        self.conv2 = _conv1x1(before, last)
        self.bn2 = nn.BatchNorm2d(last)

    def _maps(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        maps = [x]
        for stage in (self.layer1, self.layer2, self.layer3):
            stage_map, x = self._stage(stage, x)
            maps.append(stage_map)
        return [*maps, F.relu(self.bn2(self.conv2(x)), inplace=True)]
