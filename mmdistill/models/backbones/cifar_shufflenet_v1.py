"""ShuffleNet for 32x32 images, as in the RepDistiller benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import channel_shuffle
from torch import Tensor, nn

from mmdistill.models.backbones.cifar_backbone import CIFARBackbone, CIFARBlock
from mmdistill.registry import MODELS

STEM = 24


class CIFARShuffleUnit(CIFARBlock):
    """Grouped 1x1, channel shuffle, depthwise 3x3, grouped 1x1, shortcut.

    The shortcut is added; with stride 2 it is average-pooled and concatenated.

    Shape:
        x: (N, in_channels, H, W); returns (N, channels, H / stride,
        W / stride), rounded up.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        groups: int,
        first_groups: int,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.first_groups = first_groups
        if stride == 2:
            channels -= in_channels
        inner = channels // 4
        self.conv1 = nn.Conv2d(
            in_channels, inner, 1, groups=first_groups, bias=False
        )
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(
            inner, inner, 3, stride, 1, groups=inner, bias=False
        )
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)

    def before_relu(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = channel_shuffle(out, self.first_groups)
        # The reference has a ReLU here, the paper has none.
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        if self.stride == 2:
            shortcut = F.avg_pool2d(x, 3, stride=2, padding=1)
            return torch.cat([out, shortcut], 1)
        return out + x


@MODELS.register_module()
class CIFARShuffleNetV1(CIFARBackbone):
    """ShuffleNet for 32x32 images: a 1x1 stem and three stages of units.

    With the defaults it has the parameters and names of the ShuffleV1 of
    RepDistiller's ``models/ShuffleNetv1.py``; pooling and the linear layer
    are MMPretrain's ``GlobalAveragePooling`` and ``LinearClsHead``.

    Paper: Zhang et al., ShuffleNet: An Extremely Efficient Convolutional
    Neural Network for Mobile Devices, CVPR 2018,
    https://arxiv.org/abs/1707.01083, table 1 with 3 groups, as in
    https://github.com/HobbitLong/RepDistiller.

    Args:
        widths: channels of the three stages.
        blocks: units of the three stages.
        groups: groups of the 1x1 convolutions; the first one has one group.
        in_channels: channels of the image.
        out_indices: the maps to return: stem 0, stages 1, 2, 3; negative
            numbers count from the end.
        pre_activation: return the stages' maps from before their last ReLU.
            The stem's map and the input of the next stage are unchanged. A
            neck that pools the last map then needs its own ReLU for the
            classifier to stay the same.
        init_cfg: the default is torch's initialization, as in the reference.
    Shape:
        x: (N, in_channels, H, W); returns a tuple of the chosen maps, shallow
        ones first: (N, 24, H, W), then, for stage i,
        (N, widths[i-1], H / 2**i, W / 2**i), rounded up.
    Raises:
        ValueError: if widths do not fit groups, or blocks or out_indices are
            not as described.
    Config:
        backbone=dict(type='CIFARShuffleNetV1')
    """

    def __init__(
        self,
        widths: Sequence[int] = (240, 480, 960),
        blocks: Sequence[int] = (4, 8, 4),
        groups: int = 3,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if len(widths) != 3 or len(blocks) != 3 or min(blocks) < 1:
            raise ValueError(
                f'CIFARShuffleNetV1 has three widths and three positive '
                f'numbers of blocks, got widths={tuple(widths)}, '
                f'blocks={tuple(blocks)}'
            )
        super().__init__(out_indices, pre_activation, init_cfg)
        self.conv1 = nn.Conv2d(in_channels, STEM, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        before = STEM
        for i, (width, count) in enumerate(
            zip(widths, blocks, strict=True), 1
        ):
            grown = width - before
            if grown < 1 or any(c % (4 * groups) for c in (grown, width)):
                raise ValueError(
                    f'each width of CIFARShuffleNetV1, and what it exceeds '
                    f'the one before by ({STEM} before the first), must be a '
                    f'multiple of 4 * groups, got widths={tuple(widths)}, '
                    f'groups={groups}'
                )
            units = [
                CIFARShuffleUnit(
                    before if unit == 0 else width,
                    width,
                    stride=2 if unit == 0 else 1,
                    groups=groups,
                    first_groups=1 if i == 1 and unit == 0 else groups,
                )
                for unit in range(count)
            ]
            self.add_module(f'layer{i}', nn.Sequential(*units))
            before = width

    def _maps(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        maps = [x]
        for stage in (self.layer1, self.layer2, self.layer3):
            stage_map, x = self._stage(stage, x)
            maps.append(stage_map)
        return maps
