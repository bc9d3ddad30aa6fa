from __future__ import annotations

from typing import Any

from mmpretrain.models import VisionTransformer
from torch import Tensor

from mmdistill.registry import MODELS


@MODELS.register_module()
class NormedVisionTransformer(VisionTransformer):
    """A ViT that applies its final LayerNorm to the output of every block.

    MMPretrain's ViT normalizes the last block only; weights and names are the
    same. DINO's linear evaluation on several blocks (`ClassTokensNeck`) uses
    the final LayerNorm for each of them.

    Paper: Caron et al., Emerging Properties in Self-Supervised Vision
    Transformers, ICCV 2021, https://arxiv.org/abs/2104.14294, appendix (linear
    evaluation); ``get_intermediate_layers`` of
    https://github.com/facebookresearch/dino.

    Args:
        args, kwargs: as in MMPretrain's VisionTransformer; ``final_norm`` must
            be True.
    Shape:
        x: (N, C, H, W) images; returns one tensor for each of ``out_indices``:
        (N, T, D) with out_type 'raw', (N, D) with 'cls_token'.
    Config:
        backbone=dict(
            type='NormedVisionTransformer',
            arch='deit-small',
            patch_size=16,
            out_indices=(8, 9, 10, 11),
            out_type='raw')
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.final_norm:
            raise ValueError(
                'NormedVisionTransformer normalizes by the last LayerNorm, '
                'which final_norm=False leaves out; take '
                "type='VisionTransformer', or final_norm=True"
            )
        # Otherwise `forward` normalizes the last block before
        # `_format_output` does so again.
        self.final_norm = False

    def _format_output(self, x: Tensor, hw: tuple[int, int]) -> Tensor:
        return super()._format_output(self.ln1(x), hw)
