"""Which arguments a registered part takes, without building it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

#: Methods of a dict whose first argument is a key.
_READS = ('pop', 'get', 'setdefault')
_NAMED = (
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


@dataclass(frozen=True)
class Accepted:
    """What a class or a function takes.

    Attributes:
        names: of its arguments; of a constructor that hands its ``**kwargs``
            to its base and to nothing else, those of the base, too.
        any_other: whether it may take others besides, or does not tell.
    """

    names: frozenset[str]
    any_other: bool


@cache
def accepted(part: Callable) -> Accepted:
    """Find out which arguments a registered part takes."""
    names: set[str] = set()
    is_class = inspect.isclass(part)
    if isinstance(part, partial):
        return Accepted(frozenset(), True)
    for layer in part.__mro__ if is_class else (part,):
        if layer is object:
            return Accepted(frozenset(names), '__new__' in vars(part))
        function = vars(layer).get('__init__') if is_class else layer
        if function is None:
            continue
        try:
            parameters = [*inspect.signature(function).parameters.values()]
        except (TypeError, ValueError):
            return Accepted(frozenset(names), True)
        named = [p.name for p in parameters if p.kind in _NAMED]
        names |= {*named[1:]} if is_class else {*named}
        rest = [p.name for p in parameters if p.kind is p.VAR_KEYWORD]
        read = _read_from(function, rest[0]) if rest and is_class else None
        if not rest:
            return Accepted(frozenset(names), False)
        if read is None:
            return Accepted(frozenset(names), True)
        names |= read
    return Accepted(frozenset(names), True)


def _read_from(function: Callable, kwargs: str) -> set[str] | None:
    """The keys that a constructor itself reads from its ``**kwargs``.

    Returns:
        None unless what is left goes to ``super().__init__`` alone.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    understood, read = set(), set()
    handed_on = False
    for node in ast.walk(tree):
        found = _key_read(node, kwargs)
        if found is not None:
            name, key = found
            understood.add(name)
            read.add(key)
        elif isinstance(node, ast.Call) and _is_super(node.func):
            for keyword in node.keywords:
                if keyword.arg is None and _is_name(keyword.value, kwargs):
                    understood.add(keyword.value)
                    handed_on = True
        elif isinstance(node, ast.Assign) and _is_merge(node, kwargs):
            understood |= {n for n in ast.walk(node) if _is_name(n, kwargs)}
    used = {node for node in ast.walk(tree) if _is_name(node, kwargs)}
    return read if handed_on and used == understood else None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _key_read(node: ast.AST, kwargs: str) -> tuple[ast.AST, str] | None:
    """``kwargs.pop('x')``, ``kwargs['x']`` or ``'x' in kwargs``."""
    holder = key = None
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _READS
        and node.args
    ):
        holder, key = node.func.value, node.args[0]
    elif isinstance(node, ast.Subscript):
        holder, key = node.value, node.slice
    elif isinstance(node, ast.Compare) and isinstance(
        node.ops[0], (ast.In, ast.NotIn)
    ):
        holder, key = node.comparators[0], node.left
    if holder is None or not _is_name(holder, kwargs):
        return None
    if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
        return None
    return holder, key.value


def _is_super(function: ast.AST) -> bool:
    """Whether it is ``super().__init__``."""
    return (
        isinstance(function, ast.Attribute)
        and function.attr == '__init__'
        and isinstance(function.value, ast.Call)
        and _is_name(function.value.func, 'super')
    )


def _is_merge(node: ast.Assign, kwargs: str) -> bool:
    """Whether it is ``kwargs = {'key': value, **kwargs}``."""
    return _is_name(node.targets[0], kwargs) and isinstance(
        node.value, ast.Dict
    )
