from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn


class DistillLoss(nn.Module):
    """The interface between a distiller and a loss; subclassing is optional.

    A loss is any registered ``nn.Module`` with a ``level`` and a
    ``forward(student, teacher, **needed)`` that returns a weighted scalar.
    ``student`` and ``teacher`` are that level's tensors: two equally long
    tuples of (N, C, H, W) for level ``maps``, two (N, D) tensors otherwise.

    To log further numbers, return ``dict(loss=weighted, agreement=...)``:
    only ``loss`` is trained on, and every other entry is a scalar that is
    logged as ``<name of the loss>/agreement``.

    Args:
        loss_weight: factor on the returned value.
    """

    #: Field of `Representation` that is compared.
    level: ClassVar[str]
    #: Further arguments of ``forward``: 'label', 'sample_idx', memory names.
    needs: tuple[str, ...] = ()
    #: Which maps a loss of level 'maps' takes: 'stages' (all but the stem),
    #: 'last', 'all', or numbers (stem 0, stage 1, ...; negative from the end).
    maps: str | tuple[int, ...] = 'stages'
    #: Whether it compares several views: with more than one view it gets
    #: lists of that level's tensors, global views first.
    views: ClassVar[bool] = False
    #: The smallest batch the loss is defined for.
    min_samples: ClassVar[int] = 1

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def connect(self, losses: Mapping[str, nn.Module]) -> None:
        """Take parts of other losses, if this loss uses any.

        Called once, after all losses of the method are built.

        Args:
            losses: all losses of the method by name.
        """

    def extra_repr(self) -> str:
        return f'loss_weight={self.loss_weight}'
