"""Draws who is compared with whom: one SVG for a distiller's config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from html import escape
from typing import Any

#: Levels of `Representation`, as a network makes them.
LEVELS = ('maps', 'feature', 'embedding', 'logits')
_LEFT, _STEP, _BOX = 150, 142, 104
_WIDTH = _LEFT + _STEP * len(LEVELS) + 6
_CHIP, _ROW = 24, 34
#: What the target of a distiller is, by the distiller and the target's name.
_ROLES = {
    ('SelfDistiller', 'teacher'): 'a momentum copy',
    ('OSS', 'teacher'): 'learns, too',
}


def figure(model: Mapping[str, Any]) -> str:
    """An SVG of a distiller's config.

    Args:
        model: with ``type`` and ``losses``, resolved.
    """
    rows = _rows(model)
    rows.setdefault(_default_target(model), [])
    y, parts = 8, []
    student = 'peers' if model['type'] == 'OnlineDistiller' else 'student'
    for target, losses in rows.items():
        if target == student:
            continue
        columns = {level: [] for level in LEVELS}
        for chip, level in losses:
            columns[level].append(chip)
        height = 22 + _CHIP * max(map(len, columns.values()))
        parts.append(_model(target, _role(model, target), y, columns))
        parts.append(_chips(columns, y + _ROW, height))
        y += _ROW + height
    alone = rows.get(student, [])
    columns = {level: [] for level in LEVELS}
    for chip, level in alone:
        columns[level].append(chip)
    role = '' if student == 'student' else 'learn together'
    parts.append(_model(student, role, y, columns | dict(logits=['task'])))
    y += _ROW
    if alone:
        height = 8 + _CHIP * max(map(len, columns.values()))
        parts.append(_chips(columns, y, height, joined=False))
        y += height
    if model.get('task_weight'):
        parts.append(_text(_x('logits') + _BOX / 2, y + 18, 'task: labels'))
        y += 24
    title = escape(f'{model["type"]}: who is compared with whom')
    return (
        f'<svg class="compared" viewBox="0 0 {_WIDTH} {y + 8}" role="img" '
        f'aria-label="{title}"><title>{title}</title>{"".join(parts)}</svg>'
    )


def _rows(model: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Losses and their levels, by the target that they compare with."""
    from mmdistill.registry import MODELS

    losses = {k: v for k, v in (model.get('losses') or {}).items() if v}
    if model['type'] == 'OSS':
        losses = dict(clustering=dict(type='SwappedPredictionLoss'))
        if model.get('feature_classifier'):
            losses['classifier'] = dict(type='FeatureConfusionLoss')
    found: dict[str, list[tuple[str, str]]] = {}
    for cfg in losses.values():
        cls = MODELS.get(cfg['type'])
        target = cfg.get('target') or _default_target(model)
        if cls.compares == 'peers':
            target = 'peers'
        elif model['type'] == 'OnlineDistiller':
            target = 'teacher'
        text = cfg['type'].removesuffix('Loss') + _memory(cls)
        level = cfg.get('level', cls.level)
        found.setdefault(target, []).append((text, level))
    return found


def _default_target(model: Mapping[str, Any]) -> str:
    if model['type'] == 'OnlineDistiller':
        return 'peers'
    if model['type'] == 'OSS' and not model.get('teacher'):
        return 'student'
    return 'teacher'


def _memory(cls: type) -> str:
    """Which memory a loss, or a class it is made of, builds."""
    source = ''.join(
        inspect.getsource(c)
        for c in cls.__mro__
        if c.__module__.startswith('mmdistill.models.losses')
    )
    if 'InstanceBank(' in source:
        return ' + bank'
    if 'FeatureQueue(' in source:
        return ' + queue'
    return ''


def _role(model: Mapping[str, Any], target: str) -> str:
    if target == 'slow_student':
        return 'a momentum copy'
    return _ROLES.get((model['type'], target), 'frozen')


def _x(level: str) -> float:
    return _LEFT + _STEP * LEVELS.index(level)


def _text(x: float, y: float, text: str, kind: str = 'label') -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'


def _model(name: str, role: str, y: float, used: Mapping[str, list]) -> str:
    """One network: its name, what becomes of it, and its four levels."""
    middle = y + _ROW / 2
    parts = [_text(4, middle - 1 if role else middle + 5, name, 'name')]
    if role:
        parts.append(_text(4, middle + 13, role, 'role'))
    parts.append(
        f'<line class="flow" x1="{_LEFT - 22}" x2="{_WIDTH - 6}" '
        f'y1="{middle}" y2="{middle}"/>'
    )
    for level in LEVELS:
        kind = 'level' if used[level] else 'level unused'
        parts.append(
            f'<rect class="{kind}" x="{_x(level)}" y="{y + 4}" '
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
    parts = []
    for level, chips in columns.items():
        if not chips:
            continue
        center = _x(level) + _BOX / 2
        end = y + height if joined else y + 8 + _CHIP * len(chips) - 4
        parts.append(
            f'<line class="edge" x1="{center}" x2="{center}" '
            f'y1="{y - 4}" y2="{end + (4 if joined else 0)}"/>'
        )
        top = y + (height - _CHIP * len(chips)) / 2 if joined else y + 6
        for i, chip in enumerate(chips):
            at = top + _CHIP * i
            width = max(70, 8 * len(chip) + 14)
            parts.append(
                f'<rect class="loss" x="{center - width / 2}" y="{at + 2}" '
                f'width="{width}" height="{_CHIP - 4}" rx="10"/>'
            )
            parts.append(_text(center, at + 16, chip, 'loss'))
    return ''.join(parts)
