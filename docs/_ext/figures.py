"""Draws who is compared with whom: one SVG for a distiller's config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from html import escape
from typing import Any

#: Levels of `Representation`, as a network makes them.
LEVELS = ('maps', 'feature', 'embedding', 'logits')
_LEFT, _STEP, _BOX = 104, 104, 88
_WIDTH = _LEFT + _STEP * len(LEVELS) + 30
_CHIP, _ROW = 24, 34
#: What the target of a distiller is, by the distiller and the target's name.
_ROLES = {
    ('SelfDistiller', 'teacher'): 'a momentum copy',
    ('OSS', 'teacher'): 'learns, too',
}


def figure(model: Mapping[str, Any]) -> str:
    """An SVG of a distiller's config.

    The first target stands above the student, a second one below, so that
    every loss lies between the two that it compares.

    Args:
        model: with ``type`` and ``losses``, resolved.
    """
    learner = 'peers' if model['type'] == 'OnlineDistiller' else 'student'
    losses = _losses(model)
    alone = losses.pop(learner, _levels())
    above, *below = losses
    task = bool(model.get('task_weight'))
    used = {
        level: [
            *alone[level],
            *(chip for columns in losses.values() for chip in columns[level]),
            *(['task'] if task and level == 'logits' else []),
        ]
        for level in LEVELS
    }
    y, parts = 8.0, []
    if above is not None:
        columns = losses[above]
        parts.append(_network(above, _role(model, above), y, columns))
        height = _height(columns)
        parts.append(_chips(columns, y + _ROW, height))
        y += _ROW + height
    role = '' if learner == 'student' else 'learn together'
    parts.append(_network(learner, role, y, used))
    y += _ROW
    beneath = y
    for target in below:
        height = _height(losses[target])
        parts.append(_chips(losses[target], y, height))
        y += height
        role = _role(model, target)
        parts.append(_network(target, role, y, losses[target]))
        y += _ROW
    if any(alone.values()):
        height = _height(alone) - 10
        parts.append(_chips(alone, y, height, joined=False))
        y += height
    if task:
        at = beneath if below else y
        parts.append(_text(_x('logits') + _BOX / 2, at + 18, 'task: labels'))
        y += 0 if below else 24
    title = escape(f'{model["type"]}: who is compared with whom')
    return (
        f'<div class="compared"><svg viewBox="0 0 {_WIDTH} {y + 8:g}" '
        f'role="img" aria-label="{title}"><title>{title}</title>'
        f'{"".join(parts)}</svg></div>'
    )


def _levels() -> dict[str, list[str]]:
    return {level: [] for level in LEVELS}


def _rows(columns: Mapping[str, list[str]]) -> list[tuple[str, str, int]]:
    """Level, text and row of each chip; wide neighbors have own rows."""
    chips = [
        (level, chip, row)
        for level in LEVELS
        for row, chip in enumerate(columns[level])
    ]
    neighbors = zip(chips, chips[1:], strict=False)
    if any(
        (_chip_width(a[1]) + _chip_width(b[1])) / 2 > _x(b[0]) - _x(a[0]) > 0
        for a, b in neighbors
    ):
        return [
            (level, chip, row) for row, (level, chip, _) in enumerate(chips)
        ]
    return chips


def _chip_width(text: str) -> float:
    return max(56, 6.6 * len(text) + 14)


def _height(columns: Mapping[str, list[str]]) -> float:
    return 22 + _CHIP * max((row + 1 for *_, row in _rows(columns)), default=0)


def _losses(
    model: Mapping[str, Any],
) -> dict[str | None, dict[str, list[str]]]:
    """Losses by level, by the target that they compare with, first a target.

    None stands for no target.
    """
    from mmdistill.registry import MODELS

    losses = {k: v for k, v in (model.get('losses') or {}).items() if v}
    if model['type'] == 'OSS':
        queue = dict(queue_size=model.get('queue_size'))
        losses = dict(clustering=dict(type='SwappedPredictionLoss', **queue))
        if model.get('feature_classifier'):
            losses['classifier'] = dict(type='FeatureConfusionLoss')
    found: dict[str | None, dict[str, list[str]]] = {}
    for cfg in losses.values():
        cls = MODELS.get(cfg['type'])
        target = cfg.get('target') or _default_target(model)
        if cls.compares == 'peers':
            target = 'peers'
        elif model['type'] == 'OnlineDistiller':
            target = 'teacher'
        text = cfg['type'].removesuffix('Loss') + _memory(cls, cfg)
        level = cfg.get('level', cls.level)
        found.setdefault(target, _levels())[level].append(text)
    if not found.keys() - {'peers', 'student'}:
        found = {None: _levels(), **found}
    return found


def _default_target(model: Mapping[str, Any]) -> str:
    if model['type'] == 'OnlineDistiller':
        return 'peers'
    if model['type'] == 'OSS' and not model.get('teacher'):
        return 'student'
    return 'teacher'


def _memory(cls: type, cfg: Mapping[str, Any]) -> str:
    """Which memory a loss builds, by its class's source and its config."""
    source = ''.join(
        inspect.getsource(c)
        for c in cls.__mro__
        if c.__module__.startswith('mmdistill.models.losses')
    )
    option = inspect.signature(cls).parameters.get('queue_size')
    if option and cfg.get('queue_size', option.default):
        return ' + queue'
    return ' + bank' if 'InstanceBank(' in source else ''


def _role(model: Mapping[str, Any], target: str) -> str:
    if target == 'slow_student':
        return 'a momentum copy'
    return _ROLES.get((model['type'], target), 'frozen')


def _x(level: str) -> float:
    return _LEFT + _STEP * LEVELS.index(level)


def _text(x: float, y: float, text: str, kind: str = 'label') -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _network(name: str, role: str, y: float, used: Mapping[str, list]) -> str:
    """One network: its name, what becomes of it, and its four levels."""
    middle = y + _ROW / 2
    parts = [_text(4, middle - 1 if role else middle + 5, name, 'name')]
    if role:
        parts.append(_text(4, middle + 13, role, 'role'))
    parts.append(
        f'<line class="flow" x1="{_LEFT - 8}" x2="{_WIDTH - 38}" '
        f'y1="{middle:g}" y2="{middle:g}"/>'
    )
    for level in LEVELS:
        kind = 'level' if used[level] else 'level unused'
        parts.append(
            f'<rect class="{kind}" x="{_x(level)}" y="{y + 4:g}" '
            f'width="{_BOX}" height="{_ROW - 8}" rx="5"/>'
        )
        where = _x(level) + _BOX / 2, middle + 4
        kind = 'label' if used[level] else 'label unused'
        parts.append(_text(*where, level, kind))
    return ''.join(parts)


def _chips(
    columns: Mapping[str, list[str]],
    y: float,
    height: float,
    joined: bool = True,
) -> str:
    """The losses of each level, on a line between the two networks."""
    lines, chips = [], []
    top = y + 10 if joined else y + 6
    for level, chip, row in _rows(columns):
        center, at = _x(level) + _BOX / 2, top + _CHIP * row
        end = y + height + 4 if joined else at + 4
        lines.append(
            f'<line class="edge" x1="{center:g}" x2="{center:g}" '
            f'y1="{y - 4:g}" y2="{end:g}"/>'
        )
        width = _chip_width(chip)
        chips.append(
            f'<rect class="loss" x="{center - width / 2:g}" y="{at + 2:g}" '
            f'width="{width:g}" height="{_CHIP - 4}" rx="10"/>'
        )
        chips.append(_text(center, at + 16, chip, 'loss'))
    return ''.join(lines + chips)
