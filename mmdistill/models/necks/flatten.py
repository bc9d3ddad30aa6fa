from __future__ import annotations

from torch import Tensor, nn

from mmdistill.registry import MODELS


@MODELS.register_module()
class FlattenNeck(nn.Module):
    """Flatten maps into features, without pooling.

    Paper: Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS
    2017, https://arxiv.org/abs/1703.05175, section 3: 64 features for a 28x28
    image, 1600 for an 84x84 image.

    Shape:
        maps: tuple of (N, C, H, W); returns a tuple of (N, C * H * W).
    Config:
        neck=dict(type='FlattenNeck')
    """

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(x.flatten(1) for x in maps)
