"""From a config of losses to losses that fit the two models."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
    classes_key,
)
from mmdistill.registry import MODELS

LEVELS = tuple(field.name for field in fields(Representation))
#: What the distiller can hand a loss from every batch.
BATCH_FIELDS = ('label', 'sample_idx')
#: What an `OnlineDistiller` can hand a loss besides.
PEER_FIELDS = ('features', 'shared')


class Side:
    """One of the two models that losses compare, and what it can give.

    Args:
        name: the model's config key, 'student' or 'teacher'.
        reader: reads the model.
        input_size: (C, H, W) of the images it takes.
        with_maps: whether any loss compares maps.
    """

    def __init__(
        self,
        name: str,
        reader: RepresentationReader,
        input_size: Sequence[int],
        with_maps: bool,
    ) -> None:
        self.name = name
        self.reader = reader
        self.dry, self.map_shapes = reader.dry_run(input_size, with_maps)

    def levels(self) -> list[str]:
        """The levels that this model has."""
        return [
            level
            for level in LEVELS
            if level == 'maps' or getattr(self.dry, level) is not None
        ]

    def choose_maps(
        self, choice: str | Sequence[int], who: str
    ) -> tuple[int, ...]:
        """The numbers of the maps that a loss chooses.

        Args:
            choice: 'stages', 'last', 'all' or numbers.
            who: the loss, for error messages.
        """
        numbers = sorted(self.map_shapes)
        # A map that only the classifier pools is nobody's stage.
        pooled = getattr(self.reader.model.backbone, 'has_pooled_map', False)
        stages = numbers[:-1] if pooled else numbers
        names = dict(
            stages=[n for n in stages if n > 0],
            last=stages[-1:],
            all=stages,
        )
        if isinstance(choice, str):
            if choice not in names:
                raise ValueError(
                    f'{who}.maps must be one of {sorted(names)} or a list of '
                    f'numbers, got {choice!r}'
                )
            chosen = names[choice]
        else:
            chosen = [
                stages[n] if -len(stages) <= n < 0 else n for n in choice
            ]
        missing = sorted(set(chosen) - set(numbers))
        if missing:
            stem = ' (0 is the stem)' if 0 in missing else ''
            raise ValueError(
                f'{who}.maps asks for {missing}{stem}, but the {self.name} '
                f'({type(self.reader.model.backbone).__name__}) gives '
                f'{numbers}; change {who}.maps'
            )
        for number in chosen:
            shape = self.map_shapes[number]
            if len(shape) != 4:
                raise ValueError(
                    f'{who} compares maps (N, C, H, W), but output {number} '
                    f'of model.{self.name}.backbone has shape {shape}; let '
                    'the backbone give maps and pool them in a neck'
                )
        return tuple(chosen)


@dataclass(frozen=True)
class Edge:
    """What one loss compares: a level, and which maps on each side."""

    level: str
    needs: tuple[str, ...]
    maps: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def select(
        self, side: int, numbers: Sequence[int], representation: Representation
    ) -> Any:
        """This loss's tensors of one side (0 student, 1 teacher).

        Args:
            numbers: which maps the representation holds.
        """
        value = getattr(representation, self.level)
        if self.level != 'maps':
            return value
        held = dict(zip(numbers, value, strict=True))
        return tuple(held[number] for number in self.maps[side])


def wants_maps(losses: Mapping[str, Any]) -> bool:
    """Whether any loss compares maps."""
    return any(
        _level_of(_class_of(f'losses.{name}', loss), loss) == 'maps'
        for name, loss in losses.items()
    )


def build_loss(
    name: str, cfg: dict | nn.Module, student: Side, teacher: Side
) -> tuple[nn.Module, Edge]:
    """Build a loss that fits both models, or say what it lacks.

    Widths that the config leaves out (``student_dim``, ``teacher_dim``,
    ``student_channels``, ``teacher_channels``, ``num_prototypes``) come from
    the dry run.

    Raises:
        KeyError: for a type that is not registered, with similar names.
        ValueError: if a model lacks the level, the maps do not pair up, or
            the class scores have different widths.
    """
    who = f'losses.{name}'
    cls = _class_of(who, cfg)
    if compares_peers(name, cfg):
        raise ValueError(
            f'{who} ({cls.__name__}) compares peers that learn together, not '
            "a student with a teacher; use model.type='OnlineDistiller'"
        )
    level = _checked_level(who, cls, cfg, LEVELS)
    for side in (student, teacher):
        if level not in side.levels():
            raise ValueError(
                f'{who} ({cls.__name__}) compares {level!r}, which the '
                f'{side.name} ({type(side.reader.model).__name__}) does not '
                f'have; it has {side.levels()}. Choose another loss or '
                f'level, or give model.{side.name} a part that makes it'
            )
    maps = ((), ())
    if level == 'maps':
        maps = _paired_maps(who, cls, cfg, student, teacher)
        widths = [
            tuple(side.map_shapes[n][1] for n in numbers)
            for side, numbers in zip((student, teacher), maps, strict=True)
        ]
        inferred = dict(student_channels=widths[0], teacher_channels=widths[1])
    else:
        widths = [
            getattr(side.dry, level).shape[1] for side in (student, teacher)
        ]
        inferred = dict(
            student_dim=widths[0],
            teacher_dim=widths[1],
            num_prototypes=widths[0],
        )
    if level == 'logits' and widths[0] != widths[1]:
        raise ValueError(
            f'{who} ({cls.__name__}) compares scores one to one, but the '
            f'student gives {widths[0]} and the teacher {widths[1]}; set '
            f'{_width_of_logits(student)} and {_width_of_logits(teacher)} '
            'alike, or use a loss of another level'
        )
    loss = _build_part(cls, cfg, inferred)
    edge = Edge(level, tuple(getattr(loss, 'needs', ())), maps)
    _check_arguments(who, loss)
    return loss, edge


def _width_of_logits(side: Side) -> str:
    """The config key that says how many scores a model gives."""
    name = f'model.{side.name}'
    if getattr(side.reader.model, 'prototypes', None) is not None:
        return f'{name}.prototypes.num_prototypes'
    return classes_key(side.reader.model, name)


def compares_peers(name: str, cfg: dict | nn.Module) -> bool:
    """Whether a loss takes the tensors of all peers, see `PeerLoss`."""
    return getattr(_class_of(f'losses.{name}', cfg), 'compares_peers', False)


def build_peer_loss(
    name: str, cfg: dict | nn.Module, inferred: Mapping[str, Any]
) -> nn.Module:
    """Build a loss among peers, or say what it lacks.

    Args:
        inferred: arguments that the config may leave out.
    Raises:
        ValueError: if its level or its needs are none that peers have.
    """
    who = f'losses.{name}'
    cls = _class_of(who, cfg)
    _checked_level(who, cls, cfg, ('feature', 'logits'))
    loss = _build_part(cls, cfg, inferred)
    _check_arguments(who, loss)
    unknown = set(getattr(loss, 'needs', ())) - {*BATCH_FIELDS, *PEER_FIELDS}
    if unknown:
        raise ValueError(
            f'{who} ({cls.__name__}) needs {sorted(unknown)}; a loss among '
            f'peers can have {BATCH_FIELDS + PEER_FIELDS}'
        )
    return loss


def check_stages(losses: Mapping[str, nn.Module]) -> None:
    """Raise if first stages want maps before and after the activation."""
    first = {
        name: getattr(loss, 'pre_activation', False)
        for name, loss in losses.items()
        if 1 in getattr(loss, 'stages', ())
    }
    if len(set(first.values())) > 1:
        before = [name for name, wanted in first.items() if wanted]
        raise ValueError(
            f'losses {before} compare maps from before the activation in '
            f'the first stage and {sorted(set(first) - set(before))} from '
            'behind it; one pass cannot give both, use them in two runs'
        )


def refuse_first_stage(losses: Mapping[str, nn.Module], scheme: str) -> None:
    """Raise if losses begin with a stage that a scheme does not have."""
    staged = [
        name
        for name, loss in losses.items()
        if 1 in getattr(loss, 'stages', ())
    ]
    if staged:
        raise ValueError(
            f'{scheme} has no first stage, which losses {staged} need; use '
            'them in an OfflineDistiller'
        )


def check_needs(
    name: str, loss: nn.Module, edge: Edge, memories: Mapping[str, Any]
) -> None:
    """Raise if nothing gives a loss what it names in ``needs``."""
    for need in edge.needs:
        if need in BATCH_FIELDS:
            continue
        who = f'losses.{name} ({type(loss).__name__})'
        if need not in memories:
            raise ValueError(
                f'{who} needs {need!r}, which is neither a batch field '
                f'{BATCH_FIELDS} nor a memory; add it as model.memories='
                f"dict({need}=dict(type='FeatureQueue', size=...))"
            )
        if not hasattr(loss, 'remember'):
            raise ValueError(
                f'{who} needs the memory {need!r} but has no method '
                'remember(student, teacher) that returns its new rows'
            )


def remembered_widths(
    loss: nn.Module, edge: Edge, student: Side, teacher: Side
) -> dict[str, int]:
    """Width of the rows that a loss puts into each memory, by its name."""
    if not hasattr(loss, 'remember'):
        return {}
    with torch.no_grad():
        rows = loss.remember(
            *(
                edge.select(i, side.reader.numbers, side.dry)
                for i, side in enumerate((student, teacher))
            )
        )
    return {name: row.shape[1] for name, row in rows.items()}


@torch.no_grad()
def remembers_student(
    loss: nn.Module, edge: Edge, student: Side, teacher: Side
) -> bool:
    """Whether what a loss puts into memories depends on the student."""
    if not hasattr(loss, 'remember'):
        return False
    first, second = (
        edge.select(i, side.reader.numbers, side.dry)
        for i, side in enumerate((student, teacher))
    )

    def rows(start: float, end: float) -> dict[str, Tensor]:
        return loss.remember(
            tree_map(
                lambda x: torch.linspace(start, end, x.numel()).view_as(x),
                first,
            ),
            second,
        )

    rising, falling = rows(-1, 2), rows(2, -1)
    return any(not torch.equal(rising[k], falling[k]) for k in rising)


def _class_of(who: str, cfg: dict | nn.Module) -> type:
    if isinstance(cfg, nn.Module):
        return type(cfg)
    kind = cfg.get('type') if isinstance(cfg, Mapping) else None
    if kind is None:
        raise ValueError(f"{who} must be a dict with a 'type', got {cfg!r}")
    if not isinstance(kind, str):
        return kind
    cls = MODELS.get(kind)
    if cls is None:
        names = _loss_names()
        near = difflib.get_close_matches(kind, names, n=3, cutoff=0.5)
        raise KeyError(
            f'{who}.type={kind!r} is not registered; '
            f'{"did you mean " + ", ".join(near) if near else "known"}'
            f'{"?" if near else ": " + ", ".join(names)} A loss of your own '
            'must be registered in MODELS and its module listed in '
            'custom_imports'
        )
    return cls


def _loss_names() -> list[str]:
    """Registered names that distillers can use: parts that have a level."""
    return sorted(
        name
        for name, part in MODELS.module_dict.items()
        if hasattr(part, 'level')
    )


def _build_part(
    cls: type, cfg: dict | nn.Module, inferred: Mapping[str, Any]
) -> nn.Module:
    """A loss whose config may leave out what is inferred."""
    if isinstance(cfg, nn.Module):
        return cfg
    known = inspect.signature(cls).parameters
    return MODELS.build(
        {**{k: v for k, v in inferred.items() if k in known}, **cfg}
    )


def _checked_level(
    who: str, cls: type, cfg: dict | nn.Module, levels: Sequence[str]
) -> str:
    level = _level_of(cls, cfg)
    if level not in levels:
        raise ValueError(
            f'{who} ({cls.__name__}) must name its level, one '
            f'of {tuple(levels)}, as a class attribute; got {level!r}'
        )
    return level


def _level_of(cls: type, cfg: dict | nn.Module) -> str | None:
    if isinstance(cfg, nn.Module):
        return getattr(cfg, 'level', None)
    return cfg.get('level', getattr(cls, 'level', None))


def _paired_maps(
    who: str, cls: type, cfg: dict | nn.Module, student: Side, teacher: Side
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(cfg, nn.Module):
        choice = getattr(cfg, 'maps', 'stages')
    else:
        parameter = inspect.signature(cls).parameters.get('maps')
        default = getattr(cls, 'maps', 'stages')
        if parameter is not None and parameter.default is not parameter.empty:
            default = parameter.default
        choice = cfg.get('maps', default)
    chosen = (
        student.choose_maps(choice, who),
        teacher.choose_maps(choice, who),
    )
    for side in (student, teacher):
        backbone = side.reader.model.backbone
        if getattr(cls, 'pre_activation', False) and not hasattr(
            backbone, 'pre_activation'
        ):
            raise ValueError(
                f'{who} ({cls.__name__}) compares maps from before the '
                f'activation, which the {side.name} '
                f'({type(backbone).__name__}) cannot give; use networks of '
                'the CIFAR zoo or another loss'
            )
    if len(chosen[0]) != len(chosen[1]):
        raise ValueError(
            f'{who} ({cls.__name__}) compares maps one to one, but '
            f'maps={choice!r} means {list(chosen[0])} of the student and '
            f'{list(chosen[1])} of the teacher; set {who}.maps to numbers '
            'that both have, negative ones count from the end'
        )
    return chosen


def _check_arguments(who: str, loss: nn.Module) -> None:
    known = inspect.signature(loss.forward).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
    unknown = [n for n in getattr(loss, 'needs', ()) if n not in known]
    if unknown and not takes_any:
        raise ValueError(
            f'{who} ({type(loss).__name__}) names {unknown} in needs, but '
            f'its forward takes {list(known)}; make the two agree'
        )
