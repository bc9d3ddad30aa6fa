"""Wide ResNets for 32x32 images, without dropout."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.backbones.cifar_backbone import (
    KAIMING_FAN_OUT,
    CIFARBackbone,
)
from mmdistill.models.backbones.cifar_resnet import conv3x3
from mmdistill.registry import MODELS


class CIFARWideBlock(nn.Module):
    """Two 3x3 convolutions, each preceded by batch norm and ReLU.

    The shortcut is the input, or a 1x1 convolution of the activated input if
    the channels differ.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.convShortcut = None  # the name in the published files
        if in_channels != channels:
            self.convShortcut = nn.Conv2d(
                in_channels, channels, 1, stride, bias=False
            )

    def forward(self, x: Tensor, normalized: Tensor | None = None) -> Tensor:
        """Run the block; ``normalized`` is bn1(x), if already computed."""
        if normalized is None:
            out = F.relu(self.bn1(x), inplace=True)
        else:
            out = F.relu(normalized)
        if self.convShortcut is not None:
            x = self.convShortcut(out)
        out = F.relu(self.bn2(self.conv1(out)), inplace=True)
        return x + self.conv2(out)


@MODELS.register_module()
class CIFARWideResNet(CIFARBackbone):
    """Wide ResNet for 32x32 images, with pre-activation blocks.

    It has the parameters and names of RepDistiller's ``models/wrn.py``;
    pooling and the linear layer are MMPretrain's ``GlobalAveragePooling`` and
    ``LinearClsHead``. Its wrn_d_k is ``depth=d, widen_factor=k``.

    The maps of the stages are the residual sums, as in the reference. The
    pooled map is the last one after a batch norm and a ReLU; it is map 4, the
    default, for the classifier.

    Paper: Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016,
    https://arxiv.org/abs/1605.07146, table 1, as in
    https://github.com/HobbitLong/RepDistiller.

    Args:
        depth: layers with weights, 6n + 4 for n blocks per stage.
        widen_factor: factor on the stages' channels 16, 32, 64.
        in_channels: channels of the image.
        out_indices: the maps to return: stem 0, stages 1, 2, 3, pooled map 4;
            negative numbers count from the end.
        pre_activation: return each stage's map after the batch norm that
            follows it and before the ReLU, as in the reference; stem and
            pooled map are unchanged.
        init_cfg: the default is the reference's: Kaiming normal by fan out
            for convolutions, weight 1 and bias 0 for batch norms.
    Shape:
        x: (N, in_channels, H, W); returns a tuple of the chosen maps, shallow
        ones first: (N, 16, H, W), then (N, 16k, H, W),
        (N, 32k, H / 2, W / 2), (N, 64k, H / 4, W / 4) and again, k =
        widen_factor, sizes rounded up.
    Raises:
        ValueError: if depth, widen_factor or out_indices are not as described.
    Config:
        backbone=dict(type='CIFARWideResNet', depth=40, widen_factor=2)
    """

    has_pooled_map = True

    def __init__(
        self,
        depth: int,
        widen_factor: int = 1,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if depth < 10 or depth % 6 != 4:
            raise ValueError(
                f'CIFARWideResNet has depth=6n + 4 (10, 16, 22, 28, 40, ...), '
                f'got depth={depth!r}'
            )
        if not isinstance(widen_factor, int) or widen_factor < 1:
            raise ValueError(
                f'CIFARWideResNet has a whole widen_factor of at least 1, got '
                f'widen_factor={widen_factor!r}'
            )
        init_cfg = list(KAIMING_FAN_OUT) if init_cfg is None else init_cfg
        super().__init__(out_indices, pre_activation, init_cfg)
        blocks = (depth - 4) // 6
        widths = [16, *(width * widen_factor for width in (16, 32, 64))]
        self.conv1 = conv3x3(in_channels, widths[0])
        self.block1 = self._make_stage(widths[0], widths[1], blocks, stride=1)
        self.block2 = self._make_stage(widths[1], widths[2], blocks, stride=2)
        self.block3 = self._make_stage(widths[2], widths[3], blocks, stride=2)
        self.bn1 = nn.BatchNorm2d(widths[3])

    @staticmethod
    def _make_stage(
        in_channels: int, channels: int, blocks: int, stride: int
    ) -> nn.Sequential:
        first = CIFARWideBlock(in_channels, channels, stride)
        others = (
            CIFARWideBlock(channels, channels, stride=1)
            for _ in range(blocks - 1)
        )
        # The published files have this extra level 'layer' in their names.
        return nn.Sequential(OrderedDict(layer=nn.Sequential(first, *others)))

    def _maps(self, x: Tensor) -> list[Tensor]:
        stages = [s.layer for s in (self.block1, self.block2, self.block3)]
        # The norm after a stage belongs to the first block of the next stage.
        norms = [stages[1][0].bn1, stages[2][0].bn1, self.bn1]
        x = self.conv1(x)
        maps, normalized = [x], None
        for (first, *others), norm in zip(stages, norms, strict=True):
            x = first(x, normalized)
            for block in others:
                x = block(x)
            normalized = norm(x)
            maps.append(normalized if self.pre_activation else x)
        return [*maps, F.relu(normalized)]
