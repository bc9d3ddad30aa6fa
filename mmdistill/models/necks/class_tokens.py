from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdistill.registry import MODELS


@MODELS.register_module()
class ClassTokensNeck(nn.Module):
    """Concatenate the class tokens of several ViT blocks into one feature.

    Paper: Caron et al., Emerging Properties in Self-Supervised Vision
    Transformers, ICCV 2021, https://arxiv.org/abs/2104.14294, appendix (linear
    evaluation): the last four blocks for ViT-S; the last block and its mean
    patch token for ViT-B, as in ``eval_linear.py`` of
    https://github.com/facebookresearch/dino.

    Args:
        mean_patch: append the mean of the last block's patch tokens.
    Shape:
        tokens: tuple of B tensors (N, T, D), class token first, of a backbone
        with ``out_type='raw'``; returns a tuple of one (N, B * D), or
        (N, (B + 1) * D) with ``mean_patch``.
    Raises:
        ValueError: if the backbone returns anything else.
    Config:
        neck=dict(type='ClassTokensNeck')
    """

    def __init__(self, mean_patch: bool = False) -> None:
        super().__init__()
        self.mean_patch = mean_patch

    def forward(self, tokens: tuple[Tensor, ...]) -> tuple[Tensor]:
        for x in tokens:
            if x.ndim != 3:
                raise ValueError(
                    'ClassTokensNeck takes tokens (N, T, D), class token '
                    f'first, got {tuple(x.shape)}; set '
                    "model.backbone.out_type='raw'"
                )
        parts = [x[:, 0] for x in tokens]
        if self.mean_patch:
            parts.append(tokens[-1][:, 1:].mean(dim=1))
        return (torch.cat(parts, dim=1),)
