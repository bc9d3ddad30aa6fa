"""What the type of a part stands for."""

from __future__ import annotations

from typing import Any

from mmengine.registry import Registry


def names_a_model(kind: Any) -> bool:
    """Whether a type is LIBRARY/NAME or a checkpoint, not a class."""
    return isinstance(kind, str) and (
        '/' in kind or kind.endswith(('.pth', '.pt'))
    )


def registered(registry: Registry, kind: Any) -> Any:
    """What a type stands for; None if there is no such thing."""
    if not isinstance(kind, str):
        return kind
    try:
        return registry.get(kind)
    except Exception:  # of an import that a dotted name asks for
        return None
