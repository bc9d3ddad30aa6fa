"""Values as a config file has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Columns of a line; the name before the value takes some of them.
_WIDTH, _NAME = 79, 15


class Name(str):
    """A variable of the config, written without quotation marks."""


def statement(name: str, value: Any) -> str:
    """``name = value``."""
    return f'{name} = {text_of(value, 0)}'


def subscripts(path: str) -> str:
    """``['a']['b']`` for the path ``a.b``; numbers are positions."""
    parts = [int(p) if p.isdecimal() else p for p in path.split('.')]
    return ''.join(f'[{part!r}]' for part in parts)


def text_of(value: Any, indent: int) -> str:
    """A value as a config has it, on one line where that fits."""
    opening, parts, closing = _parts(value, indent + 4)
    if parts is None:
        return opening
    short = opening + ', '.join(parts) + closing
    if isinstance(value, tuple) and len(value) == 1:
        return f'({parts[0]},)'
    if indent + len(short) <= _WIDTH - _NAME and '\n' not in short:
        return short
    inner = ''.join(f'{" " * (indent + 4)}{part},\n' for part in parts)
    return f'{opening}\n{inner}{" " * indent}{closing}'


def _parts(value: Any, indent: int) -> tuple[str, list[str] | None, str]:
    if isinstance(value, Name):
        return str(value), None, ''
    if isinstance(value, Path):
        return repr(str(value)), None, ''
    if isinstance(value, Mapping):
        if all(str(key).isidentifier() or key == '**' for key in value):
            parts = [
                f'**{v}' if k == '**' else f'{k}={text_of(v, indent)}'
                for k, v in value.items()
            ]
            return 'dict(', parts, ')'
        parts = [f'{k!r}: {text_of(v, indent)}' for k, v in value.items()]
        return '{', parts, '}'
    if isinstance(value, (list, tuple)):
        parts = [text_of(item, indent) for item in value]
        marks = '[]' if isinstance(value, list) else '()'
        return marks[0], parts, marks[1]
    return repr(value), None, ''
