from __future__ import annotations

from collections.abc import Sequence


def shown(names: Sequence[object], number: int = 5) -> str:
    """The first few of many names, for an error or a line of a log."""
    more = ', ...' if len(names) > number else ''
    return ', '.join(map(str, names[:number])) + more
