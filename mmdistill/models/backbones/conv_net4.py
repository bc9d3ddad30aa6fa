"""The four-block convolutional network of the few-shot papers."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.backbones.cifar_backbone import (
    CIFARBackbone,
    CIFARBlock,
)
from mmdistill.registry import MODELS


class ConvBlock(CIFARBlock):
    """A 3x3 convolution, batch norm, 2x2 max pooling and ReLU.

    The paper has the ReLU before the pooling. The two commute, and after the
    pooling the ReLU handles a quarter of the elements.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def before_relu(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.norm(self.conv(x)), 2)


@MODELS.register_module()
class ConvNet4(CIFARBackbone):
    """Four blocks of convolution, batch norm, ReLU and max pooling.

    With ``FlattenNeck`` the feature is that of the papers: 64 dimensions for a
    28x28 image, 1600 for an 84x84 image.

    Papers: Vinyals et al., Matching Networks for One Shot Learning, NeurIPS
    2016, https://arxiv.org/abs/1606.04080, section 4.1; Snell et al.,
    Prototypical Networks for Few-shot Learning, NeurIPS 2017,
    https://arxiv.org/abs/1703.05175, section 3.

    Args:
        widths: channels of the four blocks; 64 each in the papers.
        in_channels: channels of the image.
        out_indices: the maps to return: blocks 0, 1, 2, 3; negative numbers
            count from the end.
        pre_activation: return maps 1, 2, 3 from before their ReLU. Map 0 and
            the input of the next block are unchanged.
        init_cfg: None for torch's initialization, as in the published code.
    Shape:
        x: (N, in_channels, H, W), H and W at least 16; returns a tuple of the
        chosen maps, shallow ones first: (N, widths[i], H / s, W / s),
        rounded down, with s = 2, 4, 8, 16 for i = 0, 1, 2, 3.
    Raises:
        ValueError: if widths or out_indices are not as described.
    Config:
        backbone=dict(type='ConvNet4', in_channels=1)
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 64, 64, 64),
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if len(widths) != 4 or min(widths) < 1:
            raise ValueError(
                'ConvNet4 has four positive widths, such as (64, 64, 64, 64), '
                f'got widths={tuple(widths)}'
            )
        super().__init__(out_indices, pre_activation, init_cfg)
        before = (in_channels, *widths)
        for i, width in enumerate(widths):
            self.add_module(
                f'block{i}', nn.Sequential(ConvBlock(before[i], width))
            )

    def _maps(self, x: Tensor) -> list[Tensor]:
        x = self.block0(x)
        maps = [x]
        for stage in (self.block1, self.block2, self.block3):
            found, x = self._stage(stage, x)
            maps.append(found)
        return maps
