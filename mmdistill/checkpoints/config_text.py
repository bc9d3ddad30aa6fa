"""Configs that checkpoints carry, read as data and not as programs."""

from __future__ import annotations

import ast
import math
from typing import Any

from mmengine.config import Config

from mmdistill.checkpoints.reading import CheckpointError


def config_from_text(text: str, name: str) -> Config:
    """The config in a checkpoint's ``meta``, of which nothing is executed.

    ``Config.fromstring`` runs the text as Python, and a checkpoint may come
    from a stranger. Here values are literals, ``dict(...)`` and no more.

    Args:
        text: ``Config.pretty_text``.
        name: what error messages call the checkpoint; its path.
    Raises:
        CheckpointError: if the text holds more than that.
    """
    try:
        return Config(_settings(ast.parse(text)))
    except (SyntaxError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f'the config in {name} is no list of plain settings ({error}). '
            'Give --config with the config of its training.'
        ) from error


def _settings(tree: ast.Module) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for line in tree.body:
        match line:
            case ast.Assign(targets=[ast.Name(id=key)], value=value):
                settings[key] = _value(value)
            case _:
                raise ValueError(f'line {line.lineno}')
    return settings


def _value(node: ast.expr) -> Any:
    """A literal, as ``pretty_text`` writes it."""
    match node:
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(key): _value(value) for key, value in pairs if key}
        case ast.Call(
            func=ast.Name(id='dict'), args=[], keywords=settings
        ) if all(setting.arg for setting in settings):
            return {x.arg: _value(x.value) for x in settings}
        case ast.Call(
            func=ast.Name(id='dict'), args=[ast.Dict() as items], keywords=[]
        ):
            return _value(items)
        case ast.Name(id='inf' | 'nan' as number):
            return getattr(math, number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
    return ast.literal_eval(node)
