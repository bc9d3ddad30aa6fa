from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn


class DistillLoss(nn.Module):
    """What a distiller asks of a loss; subclassing it is optional.

    A loss is any registered ``nn.Module`` with a ``level`` and a
    ``forward(student, teacher, **needed)`` that returns a weighted scalar.
    ``student`` and ``teacher`` are that level's tensors: for ``maps`` two
    equally long tuples of (N, C, H, W), else two (N, D).

    What should be seen and not trained on is returned beside the loss, as
    ``dict(loss=weighted, agreement=...)``: ``loss`` counts, every other entry
    is one number and is logged as ``<name of the loss>/agreement``.

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
    #: Whether it compares several views: it then gets lists of that level's
    #: tensors, global views first, where there is more than one view.
    views: ClassVar[bool] = False
    #: The smallest batch the loss is defined for.
    min_samples: ClassVar[int] = 1

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def connect(self, losses: Mapping[str, nn.Module]) -> None:
        """Called once when all losses of a method are built, by their names.

        A loss that uses parts of another one takes them here.
        """

    def extra_repr(self) -> str:
        return f'loss_weight={self.loss_weight}'
