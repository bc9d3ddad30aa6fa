from __future__ import annotations

from typing import Any

from mmpretrain.models import VisionTransformer
from torch import Tensor

from mmdistill.registry import MODELS


@MODELS.register_module()
class NormedVisionTransformer(VisionTransformer):
    """A ViT that gives the output of every block behind its last LayerNorm.

    MMPretrain's normalizes the last block's alone. Its weights are the same,
    under the same names. DINO probes several blocks so
    (`ClassTokensNeck`), and takes the one LayerNorm for each of them.

    Paper: Caron et al., Emerging Properties in Self-Supervised Vision
    Transformers, ICCV 2021, appendix (linear evaluation); the function
    ``get_intermediate_layers`` of https://github.com/facebookresearch/dino.

    Args:
        args, kwargs: as of MMPretrain's VisionTransformer, but for
            ``final_norm``, which is there.
    Shape:
        (N, C, H, W) images; returns one tensor for each of ``out_indices``:
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
        # `forward` would normalize the last block before `_format_output`.
        self.final_norm = False

    def _format_output(self, x: Tensor, hw: tuple[int, int]) -> Tensor:
        return super()._format_output(self.ln1(x), hw)
