from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.ops import all_reduce_sum
from mmdistill.registry import MODELS


@MODELS.register_module()
class RunningMean(nn.Module):
    """An exponential moving average of the mean row over all processes.

    Args:
        dim: width of a row; None takes that of the first rows.
        momentum: fraction of the old mean that an update keeps.
        initial: value of every entry before the first update.
    Shape:
        ``value``: (dim,) float32; (0,) while the width is unknown.
    """

    value: Tensor

    def __init__(
        self, dim: int | None, momentum: float, initial: float = 0.0
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.initial = initial
        self.register_buffer('value', torch.full((dim or 0,), float(initial)))

    def of(self, x: Tensor) -> Tensor:
        """The present mean, sized by x (..., dim) if the width is unknown."""
        if len(self.value) == 0:
            self.value = x.new_full((x.shape[-1],), float(self.initial))
        return self.value

    @torch.no_grad()
    def update(self, total: Tensor, count: int, factor: float = 1.0) -> None:
        """Move toward ``factor`` times the mean of all processes' rows.

        Args:
            total: (dim,) sum of this process's rows.
            count: their number, which may differ between processes.
            factor: scale of the mean.
        """
        # Sum and count in one all-reduce.
        joined = torch.cat([total, total.new_full((1,), count)])
        joined = all_reduce_sum(joined)
        mean = joined[:-1] / joined[-1]
        self.value = self.of(mean).lerp(
            factor * mean.to(self.value.dtype), 1 - self.momentum
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        saved = state_dict.get(f'{prefix}value')
        if saved is not None and len(self.value) == 0:
            self.value = self.value.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        return f'dim={len(self.value) or None}, momentum={self.momentum}'
