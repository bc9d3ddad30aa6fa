from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def match_sizes(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Pool the larger of two maps to the smaller one's height and width.

    Shape:
        a: (N, C, H, W); b: (N, D, h, w); returns both with equal sizes.
    """
    size = min(a.shape[-2], b.shape[-2]), min(a.shape[-1], b.shape[-1])
    a, b = (
        x if x.shape[-2:] == size else F.adaptive_avg_pool2d(x, size)
        for x in (a, b)
    )
    return a, b
