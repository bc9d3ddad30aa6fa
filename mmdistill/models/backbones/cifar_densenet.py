"""DenseNets for 32x32 images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.backbones.cifar_backbone import (
    KAIMING_FAN_OUT,
    CIFARBackbone,
)
from mmdistill.models.backbones.cifar_resnet import conv3x3
from mmdistill.registry import MODELS

BOTTLENECK = 4  # the 1x1 convolution has 4 * growth_rate channels


class CIFARDenseLayer(nn.Module):
    """Concatenate growth_rate new channels to the input."""

    def __init__(
        self, in_channels: int, growth_rate: int, bottleneck: bool
    ) -> None:
        super().__init__()
        inner = BOTTLENECK * growth_rate
        self.norm1 = nn.BatchNorm2d(in_channels)
        if bottleneck:
            self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(inner)
            self.conv2 = conv3x3(inner, growth_rate)
        else:
            self.conv1 = conv3x3(in_channels, growth_rate)
        self.bottleneck = bottleneck

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(F.relu(self.norm1(x), inplace=True))
        if self.bottleneck:
            out = self.conv2(F.relu(self.norm2(out), inplace=True))
        return torch.cat([x, out], 1)


class CIFARTransition(nn.Module):
    """The norm and the 1x1 convolution between two dense blocks."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, normalized: Tensor) -> Tensor:
        """From the output of ``norm`` to the next dense block."""
        return F.avg_pool2d(self.conv(F.relu(normalized)), 2)


@MODELS.register_module()
class CIFARDenseNet(CIFARBackbone):
    """DenseNet for 32x32 images: three dense blocks with transitions.

    With the defaults it has the parameters of MCL-OKD's DenseNet-40-12
    (densenetd40k12), with the same names without the prefix ``features.``;
    pooling and the linear layer are MMPretrain's ``GlobalAveragePooling`` and
    ``LinearClsHead``. That network has bottlenecks and compressing
    transitions: in the DenseNet paper's terms it is DenseNet-BC (L=40, k=12).
    The paper's DenseNet (L=40, k=12) is ``bottleneck=False, compression=1.0,
    stem_channels=16``.

    The maps of the stages are the outputs of the dense blocks. The pooled map
    is the last block's output after a batch norm and a ReLU; it is map 4, the
    default, for the classifier.

    Paper: Huang et al., Densely Connected Convolutional Networks, CVPR 2017,
    https://arxiv.org/abs/1608.06993, section 3, as in
    https://github.com/winycg/MCL-OKD (models/densenet.py).

    Args:
        depth: layers with weights: 6n + 4 for n layers per dense block with
            bottleneck, 3n + 4 without.
        growth_rate: channels that a layer adds.
        bottleneck: begin a layer with a 1x1 convolution to 4 * growth_rate
            channels.
        compression: fraction of the channels that a transition keeps, rounded
            down.
        stem_channels: channels of the stem.
        in_channels: channels of the image.
        out_indices: the maps to return: stem 0, dense blocks 1, 2, 3, pooled
            map 4; negative numbers count from the end.
        pre_activation: return each stage's map after the batch norm that
            follows it and before the ReLU; stem and pooled map are unchanged.
        init_cfg: the default is the reference's: Kaiming normal by fan in for
            convolutions, weight 1 and bias 0 for batch norms.
    Shape:
        x: (N, in_channels, H, W); returns a tuple of the chosen maps, shallow
        ones first: (N, C, H / s, W / s), rounded down, with
        C = 24, 96, 120, 132, 132 by default and s = 1, 1, 2, 4, 4.
    Raises:
        ValueError: if depth, growth_rate, compression or out_indices are not
            as described.
    Config:
        backbone=dict(type='CIFARDenseNet', depth=40, growth_rate=12)
    """

    has_pooled_map = True

    def __init__(
        self,
        depth: int = 40,
        growth_rate: int = 12,
        bottleneck: bool = True,
        compression: float = 0.5,
        stem_channels: int = 24,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        step = 6 if bottleneck else 3
        if depth < 4 + step or (depth - 4) % step:
            raise ValueError(
                f'CIFARDenseNet has depth={step}n + 4 with '
                f'bottleneck={bottleneck}, got depth={depth!r}'
            )
        if growth_rate < 1 or not 0 < compression <= 1:
            raise ValueError(
                f'CIFARDenseNet has a positive growth_rate and a compression '
                f'in (0, 1], got growth_rate={growth_rate!r}, '
                f'compression={compression!r}'
            )
        if init_cfg is None:
            conv, norm = KAIMING_FAN_OUT
            init_cfg = [dict(conv, mode='fan_in'), norm]
        super().__init__(out_indices, pre_activation, init_cfg)
        layers = (depth - 4) // step
        channels = stem_channels
        self.conv0 = conv3x3(in_channels, channels)
        for i in range(1, self.num_stages + 1):
            block = nn.Sequential()
            for layer in range(1, layers + 1):
                block.add_module(
                    f'denselayer{layer}',
                    CIFARDenseLayer(channels, growth_rate, bottleneck),
                )
                channels += growth_rate
            self.add_module(f'denseblock{i}', block)
            if i < self.num_stages:
                compressed = int(channels * compression)
                transition = CIFARTransition(channels, compressed)
                self.add_module(f'transition{i}', transition)
                channels = compressed
        self.norm_final_ = nn.BatchNorm2d(channels)

    def _maps(self, x: Tensor) -> list[Tensor]:
        x = self.conv0(x)
        maps = [x]
        steps = (
            (self.denseblock1, self.transition1.norm, self.transition1),
            (self.denseblock2, self.transition2.norm, self.transition2),
            (self.denseblock3, self.norm_final_, F.relu),
        )
        for block, norm, following in steps:
            x = block(x)
            normalized = norm(x)
            maps.append(normalized if self.pre_activation else x)
            x = following(normalized)
        return [*maps, x]
