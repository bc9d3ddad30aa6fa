from __future__ import annotations

from collections.abc import Sequence

from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor
from torchvision.models.regnet import BlockParams, RegNet

from mmdistill.registry import MODELS


@MODELS.register_module()
class RegNetY(BaseBackbone):
    """RegNet with squeeze and excitation: torchvision's stem and stages.

    The defaults are RegNetY-600MF, of 6.1 M parameters with its classifier.
    Weights have torchvision's names and its initialization.

    Paper: Radosavovic et al., Designing Network Design Spaces, CVPR 2020,
    https://arxiv.org/abs/2003.13678; the sizes of the 600MF are from its code.

    Args:
        depth: number of blocks.
        w_0, w_a, w_m: width of the first block, slope of the widths over the
            blocks, and the factor from one stage's width to the next.
        group_width: channels in a group of the 3x3 convolutions.
        se_ratio: ratio of squeezed channels to a block's input channels.
        stem_width: channels of the stem.
        out_indices: stages to return, counted from 0.
        init_cfg: MMEngine's initialization config.
    Shape:
        x: (N, 3, H, W); returns a tuple of (N, C_i, H_i, W_i), with C_3 = 608
        and H_3 = H / 32.
    Raises:
        ValueError: if out_indices is empty, repeats a stage, or has an unknown
            one.
    Config:
        backbone=dict(type='RegNetY')
    """

    def __init__(
        self,
        depth: int = 15,
        w_0: int = 48,
        w_a: float = 32.54,
        w_m: float = 2.32,
        group_width: int = 16,
        se_ratio: float = 0.25,
        stem_width: int = 32,
        out_indices: Sequence[int] = (3,),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        params = BlockParams.from_init_params(
            depth, w_0, w_a, w_m, group_width, se_ratio=se_ratio
        )
        #: Channels of each stage.
        self.widths = tuple(params.widths)
        stages = range(len(self.widths))
        unique = set(out_indices)
        if (
            not unique
            or len(unique) < len(out_indices)
            or (not unique <= set(stages))
        ):
            raise ValueError(
                f'out_indices of RegNetY are different ones of {list(stages)}'
                f', at least one; got out_indices={tuple(out_indices)}'
            )
        self.out_indices = tuple(out_indices)
        network = RegNet(params, stem_width=stem_width)
        self.stem = network.stem
        self.trunk_output = network.trunk_output

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        maps = []
        for i, stage in enumerate(self.trunk_output):
            x = stage(x)
            if i in self.out_indices:
                maps.append(x)
        return tuple(maps)
