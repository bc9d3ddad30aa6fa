"""Base of the CIFAR backbones: numbered maps and pre-activation maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch.nn.functional as F
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

# Kaiming normal by fan out, the initialization of most reference networks.
KAIMING_FAN_OUT = (
    dict(
        type='Kaiming',
        layer='Conv2d',
        mode='fan_out',
        nonlinearity='relu',
        distribution='normal',
    ),
    dict(type='Constant', layer='_BatchNorm', val=1, bias=0),
)


class CIFARBlock(nn.Module):
    """A block that ends in a ReLU and exposes its pre-activation."""

    def before_relu(self, x: Tensor) -> Tensor:
        """The input of the last ReLU, as a new tensor."""
        raise NotImplementedError

    def after_relu(self, x: Tensor) -> Tensor:
        """From the output of the last ReLU to the output of the block."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.after_relu(F.relu(self.before_relu(x), inplace=True))


class CIFARBackbone(BaseBackbone):
    """A backbone whose maps are numbered: stem 0, stages 1 ... num_stages.

    If the classifier pools another map than the last stage's, that map is
    number num_stages + 1. The last map is always the one that is pooled.

    Args:
        out_indices: the maps to return; negative numbers count from the end.
        pre_activation: return the stages' pre-activation maps.
        init_cfg: MMEngine's initialization config.
        num_stages: number of stages; None for the class attribute.
    Raises:
        ValueError: if out_indices is empty, repeats a map, or has an unknown
            one.
    """

    first_map = 0  # index 0 is the stem
    num_stages = 3
    #: Whether the pooled map differs from the last stage's map.
    has_pooled_map = False

    def __init__(
        self,
        out_indices: int | Sequence[int],
        pre_activation: bool,
        init_cfg: dict | list[dict] | None,
        num_stages: int | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_stages is not None:
            self.num_stages = num_stages
        self.pre_activation = pre_activation
        self.out_indices = self._numbered(out_indices)

    def _numbered(self, indices: int | Sequence[int]) -> tuple[int, ...]:
        """The chosen maps, ascending and counted from 0."""
        given = (indices,) if isinstance(indices, int) else tuple(indices)
        count = self.num_stages + 1 + self.has_pooled_map
        found = sorted(i + count if i < 0 else i for i in given)
        unique = len(set(found)) == len(found)
        if not found or not unique or found[0] < 0 or found[-1] >= count:
            pooled = f', {count - 1} (pooled)' if self.has_pooled_map else ''
            raise ValueError(
                f'out_indices of {type(self).__name__} are different ones of '
                f'0 (stem), 1 ... {self.num_stages} (stages){pooled} or, from '
                f'the end, -{count} ... -1, at least one; got '
                f'out_indices={given}'
            )
        return tuple(found)

    def _stage(self, stage: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
        """The map of a stage, and the input of the next stage."""
        if not self.pre_activation:
            x = stage(x)
            return x, x
        *blocks, last = stage
        for block in blocks:
            x = block(x)
        before = last.before_relu(x)
        return before, last.after_relu(F.relu(before))

    @abstractmethod
    def _maps(self, x: Tensor) -> list[Tensor]:
        """All maps of the images, in the order of their numbers."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            m for i, m in enumerate(self._maps(x)) if i in self.out_indices
        )
