from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmdistill.ops.precision import full_precision


@full_precision
def l2_normalize(x: Tensor) -> Tensor:
    """Divide rows by their L2 norm, in float32 under any autocast dtype.

    Shape:
        x: (N, D) float; returns (N, D). Rows of zeros stay zero.
    """
    return F.normalize(x)
