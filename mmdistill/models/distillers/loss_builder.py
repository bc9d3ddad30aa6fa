"""From a config of losses to losses that fit what their models give."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from torch import nn

from mmdistill.models.distillers.endpoint import Endpoint
from mmdistill.models.distillers.map_pairs import PAIRED, pair_maps
from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.lookup import loss_class
from mmdistill.models.representation import Representation
from mmdistill.registry import MODELS

LEVELS = tuple(field.name for field in fields(Representation))
#: What the distiller can hand a loss from every batch.
BATCH_FIELDS = ('label', 'sample_idx')
#: What a config may say of any loss, in place of its class.
_CHOICES = ('level', 'maps', 'target')


@dataclass(frozen=True)
class LossInputs:
    """Where a loss's tensors come from.

    Attributes:
        level: field of `Representation`.
        target: name of the target that the student is compared with.
        further: names of further targets by the argument that takes them.
        maps: numbers of the maps, by the name of the model.
    """

    level: str
    target: str
    further: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def models(self) -> set[str]:
        """Names of the targets that the loss looks at."""
        return {self.target, *self.further.values()}

    def of(
        self, name: str, numbers: Sequence[int], seen: Representation
    ) -> Any:
        """The tensors of one model.

        Args:
            name: of the model.
            numbers: which maps the representation holds.
        """
        value = getattr(seen, self.level)
        if self.level != 'maps':
            return value
        held = dict(zip(numbers, value, strict=True))
        return tuple(held[number] for number in self.maps[name])


def wants_maps(losses: Mapping[str, Any]) -> bool:
    """Whether any loss compares maps."""
    return any(
        _chosen(cfg, loss_class(name, cfg), 'level') == 'maps'
        for name, cfg in losses.items()
    )


def build_loss(
    name: str,
    cfg: dict | nn.Module,
    student: Endpoint,
    targets: Mapping[str, Endpoint],
) -> tuple[DistillLoss, LossInputs]:
    """Build a loss that fits its models, or say what they lack.

    What the config leaves out of the constructor's arguments comes from
    `DistillLoss.infer`.

    Raises:
        KeyError: for a type that is not registered, with similar names.
        ValueError: if there is no such target, a model lacks the level, the
            maps do not pair up, or class scores have different widths.
    """
    who = f'losses.{name}'
    cls = loss_class(name, cfg)
    if cls.compares == 'peers':
        raise ValueError(
            f'{who} ({cls.__name__}) compares peers that learn together, not '
            "a student with a teacher; use model.type='OnlineDistiller'"
        )
    level = checked_level(who, cls, cfg, LEVELS)
    chosen = _chosen_target(who, cls, cfg, targets)
    pair = student, targets[chosen]
    for end in pair:
        _require_level(who, cls, level, end)
    maps: dict[str, tuple[int, ...]] = {}
    if level == 'maps':
        maps = _paired_maps(who, cls, _chosen(cfg, cls, 'maps'), pair)
        shapes = [
            Shapes(channels=end.channels(maps[end.name])) for end in pair
        ]
    else:
        shapes = [Shapes(dim=end.width(level)) for end in pair]
    if level == 'logits' and shapes[0].dim != shapes[1].dim:
        raise ValueError(
            f'{who} ({cls.__name__}) compares scores one to one, but the '
            f'student gives {shapes[0].dim} and {pair[1].who} '
            f'{shapes[1].dim}; set {student.width_key()} and '
            f'{targets[chosen].width_key()} alike, or use a loss of another '
            'level'
        )
    loss = build_from(who, cls, cfg, cls.infer(*shapes))
    check_required(who, loss, BATCH_FIELDS)
    for further in loss.further_targets.values():
        _require_target(who, cls, further, targets)
        _require_level(who, cls, level, targets[further])
        if level == 'maps':
            choice = _chosen(cfg, cls, 'maps')
            if isinstance(choice, Mapping):
                choice = {further: choice[chosen]}
            maps[further] = targets[further].choose_maps(choice, who)
    return loss, LossInputs(level, chosen, loss.further_targets, maps)


def _chosen(cfg: dict | nn.Module, cls: type, key: str) -> Any:
    """What a config says of a loss, or a built loss, or its class."""
    if isinstance(cfg, nn.Module):
        return getattr(cfg, key, getattr(cls, key, None))
    return cfg.get(key, getattr(cls, key, None))


def checked_level(
    who: str, cls: type, cfg: dict | nn.Module, levels: Sequence[str]
) -> str:
    level = _chosen(cfg, cls, 'level')
    if level not in levels:
        raise ValueError(
            f'{who} ({cls.__name__}) must name its level, one '
            f'of {tuple(levels)}, as a class attribute; got {level!r}'
        )
    return level


def _chosen_target(
    who: str,
    cls: type,
    cfg: dict | nn.Module,
    targets: Mapping[str, Endpoint],
) -> str:
    chosen = _chosen(cfg, cls, 'target')
    if not targets:
        raise ValueError(
            f'{who} ({cls.__name__}) compares the student with a target, of '
            'which the model has none; set model.teacher or model.teachers'
        )
    if chosen is None:
        if len(targets) != 1 and 'teacher' not in targets:
            raise ValueError(
                f'{who} ({cls.__name__}) does not say which of '
                f'{sorted(targets)} the student is compared with; set '
                f'{who}.target'
            )
        chosen = 'teacher' if 'teacher' in targets else next(iter(targets))
    _require_target(who, cls, chosen, targets)
    return chosen


def _require_target(
    who: str, cls: type, name: str, targets: Mapping[str, Endpoint]
) -> None:
    if name not in targets:
        near = difflib.get_close_matches(name, targets, n=1, cutoff=0.5)
        raise ValueError(
            f'{who} ({cls.__name__}) names the target {name!r}, which the '
            f'model does not have; it has {sorted(targets)}'
            + (f'. Did you mean {near[0]!r}?' if near else '')
        )


def _require_level(who: str, cls: type, level: str, end: Endpoint) -> None:
    if level not in end.levels():
        raise ValueError(
            f'{who} ({cls.__name__}) compares {level!r}, which '
            f'{end.who} ({type(end.reader.model).__name__}) does not '
            f'have; it has {end.levels()}. Choose another loss or '
            f'level, or give {end.setting} a part that makes it'
        )


def _paired_maps(
    who: str,
    cls: type[DistillLoss],
    choice: str | Sequence[int] | Mapping[str, Any],
    pair: Sequence[Endpoint],
) -> dict[str, tuple[int, ...]]:
    if isinstance(choice, Mapping) and set(choice) != {e.name for e in pair}:
        raise ValueError(
            f'{who}.maps as a dict has the keys {[e.name for e in pair]}, got '
            f'{sorted(choice)}'
        )
    chosen = {end.name: end.choose_maps(choice, who) for end in pair}
    if choice in PAIRED:
        chosen = pair_maps(pair, chosen)
    if cls.pre_activation:
        for end in pair:
            end.require_pre_activation(f'{who} ({cls.__name__})')
    student, target = chosen.values()
    if len(student) != len(target):
        raise ValueError(
            f'{who} ({cls.__name__}) compares maps one to one, but '
            f'maps={choice!r} means {list(student)} of the student and '
            f'{list(target)} of {pair[1].who}; set {who}.maps to numbers '
            'that both have, negative ones count from the end, or to '
            f'dict(student=[...], {pair[1].name}=[...])'
        )
    return chosen


def build_from(
    who: str,
    cls: type[DistillLoss],
    cfg: dict | nn.Module,
    inferred: Mapping[str, Any],
) -> DistillLoss:
    if isinstance(cfg, nn.Module):
        cfg.__class__ = cls
        return cfg
    known = inspect.signature(cls).parameters
    given = {k: v for k, v in cfg.items() if k not in _CHOICES or k in known}
    try:
        loss = MODELS.build({**inferred, **given, 'type': cls})
    except (TypeError, ValueError) as error:
        # Of settings that its constructor refuses; a memory in it knows no
        # key of its own.
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f'model.{who} ({cls.__name__}): {error}') from error
    for key in _CHOICES:
        if key in cfg:
            setattr(loss, key, cfg[key])
    return loss


def check_required(
    who: str, loss: DistillLoss, available: Sequence[str]
) -> None:
    unknown = set(loss.requires) - set(available)
    if unknown:
        raise ValueError(
            f'{who} ({type(loss).__name__}) requires {sorted(unknown)}; a '
            f'loss here can have {tuple(available)}'
        )
    known = inspect.signature(loss.forward).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
    missing = [n for n in loss.requires if n not in known]
    if missing and not takes_any:
        raise ValueError(
            f'{who} ({type(loss).__name__}) names {missing} in requires, but '
            f'its forward takes {list(known)}; make the two agree'
        )
