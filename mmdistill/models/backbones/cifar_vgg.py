"""VGG networks for 32x32 images, with batch norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.backbones.cifar_backbone import (
    KAIMING_FAN_OUT,
    CIFARBackbone,
)
from mmdistill.registry import MODELS

# Convolutions in each of the five blocks: the paper's A, B, D and E, and the
# benchmark's small VGG8.
CONVOLUTIONS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


@MODELS.register_module()
class CIFARVGG(CIFARBackbone):
    """VGG for 32x32 images: five blocks with max pooling between them.

    It has the parameters and names of the networks with batch norm of
    RepDistiller's ``models/vgg.py``, which have one linear layer instead of
    the paper's three; pooling and that layer are MMPretrain's
    ``GlobalAveragePooling`` and ``LinearClsHead``.

    Paper: Simonyan and Zisserman, Very Deep Convolutional Networks for
    Large-Scale Image Recognition, ICLR 2015, https://arxiv.org/abs/1409.1556,
    table 1, as in https://github.com/HobbitLong/RepDistiller.

    Args:
        depth: 8, 11, 13, 16 or 19. The network has depth - 3 convolutions,
            because the paper counts its three linear layers.
        widths: channels of the five blocks.
        in_channels: channels of the image.
        out_indices: the maps to return: blocks 0, 1, 2, 3, 4; negative
            numbers count from the end.
        pre_activation: return maps 1 ... 4 from before their last ReLU. Map 0
            and the input of the next block are unchanged. A neck that pools
            the last map then needs its own ReLU for the classifier to stay
            the same.
        init_cfg: the default is the reference's: Kaiming normal by fan out
            and bias 0 for convolutions, weight 1 and bias 0 for batch norms.
    Shape:
        x: (N, in_channels, H, W); returns a tuple of the chosen maps, shallow
        ones first: (N, widths[i], H / s, W / s), rounded down, with
        s = 1, 2, 4, 8, 8 for i = 0 ... 4; images of height 64 are pooled once
        more, as in the reference: s = 16 for i = 4.
    Raises:
        ValueError: if depth, widths or out_indices are not as described.
    Config:
        backbone=dict(type='CIFARVGG', depth=13)
    """

    num_stages = 4

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (-1,),
        pre_activation: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if depth not in CONVOLUTIONS:
            raise ValueError(
                f'CIFARVGG has depth={", ".join(map(str, CONVOLUTIONS))}, got '
                f'depth={depth!r}'
            )
        if len(widths) != 5 or min(widths) < 1:
            raise ValueError(
                f'CIFARVGG has five positive widths, such as (64, 128, 256, '
                f'512, 512), got widths={tuple(widths)}'
            )
        init_cfg = list(KAIMING_FAN_OUT) if init_cfg is None else init_cfg
        super().__init__(out_indices, pre_activation, init_cfg)
        before = (in_channels, *widths)
        for i, convolutions in enumerate(CONVOLUTIONS[depth]):
            block = self._make_block(before[i], widths[i], convolutions)
            self.add_module(f'block{i}', block)

    @staticmethod
    def _make_block(
        in_channels: int, channels: int, convolutions: int
    ) -> nn.Sequential:
        """Convolutions, batch norms and ReLUs, without the last ReLU."""
        layers: list[nn.Module] = []
        for _ in range(convolutions):
            layers += [
                nn.Conv2d(in_channels, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            in_channels = channels
        return nn.Sequential(*layers[:-1])

    def _maps(self, x: Tensor) -> list[Tensor]:
        blocks = (self.block0, self.block1, self.block2, self.block3)
        pooled_blocks = 4 if x.shape[2] == 64 else 3
        maps = []
        for i, block in enumerate((*blocks, self.block4)):
            before = block(x)
            x = F.relu(before, inplace=not self.pre_activation)
            maps.append(before if self.pre_activation and i > 0 else x)
            if i < pooled_blocks:
                x = F.max_pool2d(x, 2)
        return maps
