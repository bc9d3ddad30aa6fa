from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class PrototypeHead(nn.Module):
    """Scores of embeddings against K trained prototypes: (N, D) to (N, K).

    scores = x w^T with every row of w divided by its length; for L2-normalized
    x these are cosines. The gradient passes through the division, unless the
    distiller keeps the rows at length 1 itself (``divides``). The scores are
    computed in float32, because losses divide them by temperatures such as
    0.04.

    Papers: Caron et al., Unsupervised Learning of Visual Features by
    Contrasting Cluster Assignments (SwAV), NeurIPS 2020,
    https://arxiv.org/abs/2006.09882, section 3; Caron et al., Emerging
    Properties in Self-Supervised Vision Transformers (DINO), ICCV 2021,
    https://arxiv.org/abs/2104.14294, section 3.1 (weight-normalized last
    layer).

    Args:
        in_dim: D, width of the embedding.
        num_prototypes: K; 3000 in SwAV and OSS, 65536 in DINO.
        weight_norm: also learn the length of every prototype, starting at 1;
            DINO's ``norm_last_layer=False``.
    Shape:
        (N, D); returns (N, K) float32.
    Config:
        prototypes=dict(type='PrototypeHead', num_prototypes=65536)
    """

    def __init__(
        self, in_dim: int, num_prototypes: int, weight_norm: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_prototypes, in_dim))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Linear
        #: (K, 1) lengths; None if all are 1.
        self.scale = (
            nn.Parameter(torch.ones(num_prototypes, 1))
            if weight_norm
            else None
        )
        #: Whether rows are divided by their length in training, too. `OSS`
        #: turns it off and calls `set_unit_length` before every step, as
        #: SwAV's code does; the gradient then has a component along the row.
        self.divides = True

    @torch.no_grad()
    def set_unit_length(self) -> None:
        """Normalize every row to length 1, in place."""
        self.weight.copy_(F.normalize(self.weight))

    @full_precision
    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.divides:
            weight = self.weight
            if self.scale is not None:
                weight = weight * self.scale
            return F.linear(x, weight)
        length = self.weight.norm(dim=1, keepdim=True).clamp_min(1e-12)
        # Combine the (K, 1) factors first to allocate one (K, D) temporary.
        factor = 1 / length if self.scale is None else self.scale / length
        return F.linear(x, self.weight * factor)

    def extra_repr(self) -> str:
        num_prototypes, in_dim = self.weight.shape
        return (
            f'in_dim={in_dim}, num_prototypes={num_prototypes}, '
            f'weight_norm={self.scale is not None}'
        )
