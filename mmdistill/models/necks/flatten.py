from __future__ import annotations

from torch import Tensor, nn

from mmdistill.registry import MODELS


@MODELS.register_module()
class FlattenNeck(nn.Module):
    """Takes maps as features, pixel by pixel; nothing is pooled.

    Paper: Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS
    2017, section 3: 64 numbers of a 28x28 image, 1600 of an 84x84 one.

    Shape:
        maps: tuple of (N, C, H, W); returns a tuple of (N, C * H * W).
    Config:
        neck=dict(type='FlattenNeck')
    """

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(x.flatten(1) for x in maps)
