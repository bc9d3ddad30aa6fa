"""The contract between a distiller and its losses, in one class."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmdistill import ops
from mmdistill.models.memories import InstanceBank
from mmdistill.ops import full_precision


class Phase(str, enum.Enum):
    """A part of training: most methods have only the main one."""

    WARMUP = 'warmup'
    MAIN = 'main'


@dataclass(frozen=True)
class Shapes:
    """What one model gives a loss, for `DistillLoss.infer`.

    Attributes:
        dim: D of (N, D) tensors; None for level 'maps'.
        channels: C of each map (N, C, H, W) that the loss compares.
    """

    dim: int | None = None
    channels: tuple[int, ...] = ()


class DistillLoss(nn.Module):
    """What a distiller looks at in a loss; a subclass sets what differs.

    ``forward(student, target, **fields)`` returns a weighted scalar.
    ``student`` and ``target`` are tensors of the loss's level: two equally
    long tuples of (N, C, H, W) for level 'maps', two (N, D) tensors otherwise.
    They are float32 under any autocast.

    To log further numbers, return ``dict(loss=weighted, agreement=...)``:
    only ``loss`` is trained on, and every other entry is a scalar that is
    logged as ``<name of the loss>/agreement``.

    A loss owns its memories (`FeatureQueue`, `InstanceBank`, `RunningMean`):
    it builds them, reads them in ``forward``, and gives them new rows there
    with `after_backward`.

    Args:
        loss_weight: factor on the returned value.
    Config:
        losses=dict(name=dict(type='KDLoss', target='teacher'))
    """

    #: Field of `Representation` that is compared.
    level: str
    #: Name of the target that the student is compared with; None where the
    #: model has only one. Every loss takes it in its config.
    target: str | None = None
    #: 'target', or 'peers' that learn together (`PeerLoss`).
    compares: ClassVar[str] = 'target'
    #: Further arguments of ``forward``, of the batch: 'label' (-1 where
    #: unknown), 'sample_idx'.
    requires: tuple[str, ...] = ()
    #: Further targets by the argument of ``forward`` that takes their tensor.
    further_targets: Mapping[str, str] = {}
    #: Which maps a loss of level 'maps' takes: 'stages' (all but the stem),
    #: 'last', 'all', or numbers (stem 0, stage 1, ...; negative from the end);
    #: a config may say it for each model: ``dict(student=[2], teacher=[3])``.
    maps: str | tuple[int, ...] = 'stages'
    #: Whether the maps are those before the activation (CIFAR networks).
    pre_activation: ClassVar[bool] = False
    #: Whether it compares several views: with more than one view it gets
    #: lists of that level's tensors, global views first.
    multi_view: ClassVar[bool] = False
    #: The smallest batch that the loss is defined for.
    min_batch: int = 1
    #: The phases of training in which it counts.
    phases: ClassVar[tuple[Phase, ...]] = (Phase.MAIN,)
    #: The present one; the distiller sets it.
    phase: Phase = Phase.MAIN
    #: Factor on the returned value.
    loss_weight: float = 1.0

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        """Arguments of the constructor that a config may leave out.

        Args:
            student, target: what the two models give at the loss's level.
        """
        return {}

    def connect(self, losses: Mapping[str, nn.Module]) -> None:
        """Take parts of other losses, if this loss uses any.

        Called once, after all losses of the method are built.

        Args:
            losses: all losses of the method by name.
        """

    def set_training_set(
        self, num_samples: int, labels: Tensor | None
    ) -> None:
        """Size the loss's banks for the training dataset.

        Args:
            labels: (num_samples,), -1 where unknown; None if the dataset
                does not tell.
        Raises:
            ValueError: if the loss requires labels and there are none.
        """
        banks = [m for m in self.modules() if isinstance(m, InstanceBank)]
        if (
            'label' in self.requires
            and (banks or labels is not None)
            and (labels is None or not labels.ge(0).any())
        ):
            raise ValueError(
                'needs labels, but train_dataloader.dataset gives none; use a '
                'labeled dataset, or an option of the loss that does without '
                '(exclude_class=False)'
            )
        for bank in banks:
            bank.resize_to(num_samples, labels)

    def reads_student(self) -> bool:
        """Whether the present phase looks at the student."""
        return True

    def after_backward(
        self, value: Tensor, update: Callable[[], None]
    ) -> None:
        """Give memories their new rows once ``value`` went backward.

        The graph holds the memories' old rows until then; with accumulated
        gradients it happens once a micro-batch. Outside of training nothing
        happens; without a graph, as when `QueueHook` fills queues before the
        first step, the rows are given at once.

        Args:
            value: what ``forward`` returns.
            update: called without arguments.
        """
        if not self.training:
            return
        if torch.is_grad_enabled():
            ops.after_backward(value, update)
        else:
            update()

    @full_precision
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``forward`` outside of autocast, on float32 copies of halves."""
        return super().__call__(*args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for old, translate in _FIRST_EDITION.items():
            # An own one, or one of a module that `as_distill_loss` completes.
            if not hasattr(cls, old):
                continue
            new, value = translate(getattr(cls, old))
            setattr(cls, new, value)
            if old in vars(cls):
                delattr(cls, old)
            warnings.warn(
                f'{cls.__name__}.{old} is {new} now; see UPGRADING.md',
                DeprecationWarning,
                stacklevel=2,
            )

    def extra_repr(self) -> str:
        return f'loss_weight={self.loss_weight}'


#: Attributes of a loss that the first edition called otherwise.
_FIRST_EDITION: dict[str, Callable[[Any], tuple[str, Any]]] = {
    'needs': lambda value: ('requires', value),
    'views': lambda value: ('multi_view', value),
    'min_samples': lambda value: ('min_batch', value),
    'compares_peers': lambda value: (
        'compares',
        'peers' if value else 'target',
    ),
    'stages': lambda value: (
        'phases',
        tuple([Phase.WARMUP, Phase.MAIN][number - 1] for number in value),
    ),
}


def as_distill_loss(
    cls: type[nn.Module], contract: type[DistillLoss] = DistillLoss
) -> type[DistillLoss]:
    """A loss's class with the whole contract.

    A registered ``nn.Module`` with a ``level`` and a ``forward`` is a loss,
    too: what it does not say is as ``contract`` has it. The same class comes
    back whenever it is asked for.
    """
    if issubclass(cls, contract):
        return cls
    if (cls, contract) not in _completed:
        place = {'__module__': cls.__module__}
        whole = type(cls.__name__, (cls, contract), place)
        _completed[cls, contract] = whole
    return _completed[cls, contract]


_completed: dict[tuple[type, type], type[DistillLoss]] = {}
