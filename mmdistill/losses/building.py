"""A loss by name that fits the tensors of a training loop of one's own."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.models import losses
from mmdistill.models.losses import (
    DistillLoss,
    PeerLoss,
    PeerShapes,
    Shapes,
)
from mmdistill.models.losses.distill_loss import as_distill_loss
from mmdistill.models.memories import InstanceBank

#: A tensor, or its width; of losses that compare maps, one for each map.
Example = Tensor | int | Sequence[Tensor | int]


def build_loss(
    kind: str | type[DistillLoss],
    student: Example | None = None,
    teacher: Example | None = None,
    *,
    labels: Tensor | Sequence[int] | None = None,
    num_samples: int | None = None,
    **options: Any,
) -> DistillLoss:
    """A loss for a training loop of one's own, as a distiller builds it.

    Widths are taken from what the two networks give, banks from the training
    set. What the loss learns is on the device of the example; give its
    ``parameters()`` to the optimizer, too, and keep its ``state_dict()``.

    Args:
        kind: a class of `mmdistill.losses`, or its name.
        student, teacher: a batch of what the loss compares, or its width (of
            maps, the channels): a tensor (N, D), or a sequence of maps (N, C,
            H, W). Of a loss among peers, ``student`` is the sequence of the
            peers' features, and there is no teacher.
        labels: of the whole training set, in the order of ``sample_idx``, -1
            where unknown; for losses with a memory bank.
        num_samples: length of the training set, where ``labels`` are not
            given.
        options: arguments of the class.
    Raises:
        ValueError: for an unknown name or option, with near ones; for widths
            or a training set that the loss needs and nobody gave; for labels
            that are not one for each sample.
    Example:
        loss = build_loss('CRDLoss', 64, 256, labels=train_labels)
        value = loss(student_feature, teacher_feature, sample_idx, label)
    """
    cls = _class(kind)
    given = {**_inferred(cls, student, teacher), **options}
    known = inspect.signature(cls).parameters
    for name in given:
        if name not in known:
            raise ValueError(
                f'{cls.__name__} has no option {name!r}; '
                + _near(name, list(known))
            )
    missing = [
        name
        for name, parameter in known.items()
        if parameter.default is parameter.empty and name not in given
    ]
    if missing:
        examples = 'the example tensors `student` and `teacher`'
        if issubclass(cls, PeerLoss):
            examples = "`student`, the sequence of the peers' features"
        raise ValueError(
            f'{cls.__name__} needs {" and ".join(missing)}: give build_loss '
            f'{examples}, or {missing[0]}=...'
        )
    loss = cls(**given)
    _size_banks(loss, labels, num_samples)
    device = _device(student)
    return loss if device is None else loss.to(device)


def _class(kind: str | type[DistillLoss]) -> type[DistillLoss]:
    if not isinstance(kind, str):
        return as_distill_loss(kind)
    bases = ('DistillLoss', 'PeerLoss')
    names = [
        name
        for name in losses.__all__
        if name.endswith('Loss') and name not in bases
    ]
    if kind not in names:
        raise ValueError(
            f'mmdistill.losses has no {kind!r}; {_near(kind, names)} A loss '
            'of your own is given as a class'
        )
    return as_distill_loss(getattr(losses, kind))


def _near(name: str, known: list[str]) -> str:
    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    if near:
        return f'did you mean {", ".join(by_lower[n] for n in near)}?'
    return f'known are {", ".join(known)}.'


def _inferred(
    cls: type[DistillLoss], student: Example | None, teacher: Example | None
) -> dict[str, Any]:
    """Arguments of the constructor that the examples tell."""
    if student is None:
        return {}
    if issubclass(cls, PeerLoss):
        if not isinstance(student, Sequence):
            raise ValueError(
                f'{cls.__name__} compares peers: `student` is a sequence of '
                f"the peers' features, got one {type(student).__name__}"
            )
        widths = tuple(map(_width, student))
        return cls.infer_from_peers(PeerShapes(widths, sum(widths)))
    if teacher is None:
        raise ValueError(
            f'{cls.__name__} compares two networks, got the example of the '
            'student alone; give build_loss `teacher`, too'
        )
    return cls.infer(_shapes(cls, student), _shapes(cls, teacher))


def _shapes(cls: type[DistillLoss], example: Example) -> Shapes:
    if isinstance(example, Sequence) != (cls.level == 'maps'):
        wanted = (
            'a sequence of maps (N, C, H, W), or of their channels'
            if cls.level == 'maps'
            else 'one tensor (N, D), or its width'
        )
        raise ValueError(
            f'{cls.__name__} compares {cls.level!r}: an example is {wanted}; '
            f'got {type(example).__name__}'
        )
    if isinstance(example, Sequence):
        return Shapes(channels=tuple(map(_width, example)))
    return Shapes(dim=_width(example))


def _width(example: Tensor | int) -> int:
    return example if isinstance(example, int) else example.shape[1]


def _size_banks(
    loss: DistillLoss,
    labels: Tensor | Sequence[int] | None,
    num_samples: int | None,
) -> None:
    """Give banks the training set's length and labels."""
    banks = [m for m in loss.modules() if isinstance(m, InstanceBank)]
    if not banks:
        return
    name = type(loss).__name__
    if labels is not None:
        labels = torch.as_tensor(labels)
        num_samples = len(labels) if num_samples is None else num_samples
    if num_samples is None:
        num_samples = len(banks[0]) or None
    if num_samples is None:
        raise ValueError(
            f'{name} has a bank with a row for every training sample; give '
            'build_loss the labels of the training set (labels=...), or '
            'num_samples=... with exclude_class=False'
        )
    if labels is None and 'label' in loss.requires:
        raise ValueError(
            f'{name} draws negatives of other classes from its bank; give '
            'build_loss the labels of the training set (labels=..., -1 where '
            'unknown), or exclude_class=False'
        )
    loss.set_training_set(num_samples, labels)


def _device(example: Example | None) -> torch.device | None:
    if isinstance(example, Tensor):
        return example.device
    if isinstance(example, Sequence) and example:
        return _device(example[0])
    return None
