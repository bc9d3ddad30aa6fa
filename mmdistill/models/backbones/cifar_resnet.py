"""The CIFAR ResNets, as in https://github.com/HobbitLong/RepDistiller.

Paper: He et al., Deep Residual Learning for Image Recognition, CVPR 2016,
https://arxiv.org/abs/1512.03385.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from mmdistill.registry import MODELS


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels, out_channels, 3, stride=stride, padding=1, bias=False
    )


class CIFARBasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut, projected if the shapes differ.

    Shape:
        x: (N, in_channels, H, W); returns (N, channels, H / stride,
        W / stride), rounded up.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def before_relu(self, x: Tensor) -> Tensor:
        """The sum of both branches, as a new tensor."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.before_relu(x), inplace=True)


@MODELS.register_module()
class CIFARResNet(BaseBackbone):
    """ResNet for 32x32 images: a 3x3 stem and three stages of basic blocks.

    It has the parameters and names of RepDistiller's ``models/resnet.py``;
    pooling and the linear layer are MMPretrain's ``GlobalAveragePooling`` and
    ``LinearClsHead``. Its resnet8, 14, 20, 32, 44, 56 and 110 have the default
    widths, resnet8x4 and resnet32x4 have ``widths=(32, 64, 128, 256)``.

    Paper: He et al., Deep Residual Learning for Image Recognition, CVPR 2016,
    https://arxiv.org/abs/1512.03385, section 4.2, with projection shortcuts
    where the paper pads with zeros, as in
    https://github.com/HobbitLong/RepDistiller.

    Args:
        depth: layers with weights, 6n + 2 for n blocks per stage.
        widths: channels of the stem and of stages 1, 2, 3.
        in_channels: channels of the image.
        out_indices: the maps to return: stem 0, stages 1, 2, 3; negative
            numbers count from the end.
        pre_activation: return the stages' maps from before their last ReLU.
            The stem's map and the input of the next stage are unchanged. A
            neck that pools the last map then needs its own ReLU for the
            classifier to stay the same.
        init_cfg: the default is the reference's: Kaiming normal by fan out
            for convolutions, weight 1 and bias 0 for batch norms.
    Shape:
        x: (N, in_channels, H, W); returns a tuple of the chosen maps, shallow
        ones first: (N, widths[i], H / s, W / s), rounded up, with
        s = 1, 1, 2, 4 for i = 0, 1, 2, 3.
    Raises:
        ValueError: if depth, widths or out_indices are not as described.
    Config:
        backbone=dict(type='CIFARResNet', depth=8, widths=(32, 64, 128, 256))
    """

    first_map = 0  # index 0 is the stem
    num_stages = 3

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 16, 32, 64),
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (3,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if depth < 8 or depth % 6 != 2:
            raise ValueError(
                f'CIFARResNet has depth=6n + 2 (8, 14, 20, 32, 44, 56, 110, '
                f'...), got depth={depth!r}'
            )
        if len(widths) != 4 or min(widths) < 1:
            raise ValueError(
                f'CIFARResNet has four positive widths, of the stem and of '
                f'stages 1, 2, 3, such as (16, 16, 32, 64), got '
                f'widths={tuple(widths)}'
            )
        if init_cfg is None:
            init_cfg = [
                dict(
                    type='Kaiming',
                    layer='Conv2d',
                    mode='fan_out',
                    nonlinearity='relu',
                    distribution='normal',
                ),
                dict(type='Constant', layer='_BatchNorm', val=1, bias=0),
            ]
        super().__init__(init_cfg)
        self.depth = depth
        self.widths = tuple(widths)
        self.pre_activation = pre_activation
        self.out_indices = self._numbered(out_indices)

        stem, *stages = self.widths
        blocks = (depth - 2) // 6
        self.conv1 = conv3x3(in_channels, stem)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layer1 = self._stage(stem, stages[0], blocks, stride=1)
        self.layer2 = self._stage(stages[0], stages[1], blocks, stride=2)
        self.layer3 = self._stage(stages[1], stages[2], blocks, stride=2)

    @staticmethod
    def _stage(
        in_channels: int, channels: int, blocks: int, stride: int
    ) -> nn.Sequential:
        first = CIFARBasicBlock(in_channels, channels, stride)
        others = (
            CIFARBasicBlock(channels, channels, stride=1)
            for _ in range(blocks - 1)
        )
        return nn.Sequential(first, *others)

    def _numbered(self, indices: int | Sequence[int]) -> tuple[int, ...]:
        """The chosen maps, ascending and counted from 0."""
        given = (indices,) if isinstance(indices, int) else tuple(indices)
        count = self.num_stages + 1
        found = sorted(i + count if i < 0 else i for i in given)
        unique = len(set(found)) == len(found)
        if not found or not unique or found[0] < 0 or found[-1] >= count:
            raise ValueError(
                f'out_indices of CIFARResNet are different ones of 0 (stem), '
                f'1, 2, 3 (stages) or, from the end, -4 ... -1, at least one; '
                f'got out_indices={given}'
            )
        return tuple(found)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        maps = [x]
        for stage in (self.layer1, self.layer2, self.layer3):
            if self.pre_activation:
                *blocks, last = stage
                for block in blocks:
                    x = block(x)
                maps.append(last.before_relu(x))
                x = F.relu(maps[-1])
            else:
                x = stage(x)
                maps.append(x)
        return tuple(m for i, m in enumerate(maps) if i in self.out_indices)
