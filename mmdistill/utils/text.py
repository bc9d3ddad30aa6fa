from __future__ import annotations

from collections.abc import Sequence


def shown(names: Sequence[object], number: int = 5) -> str:
    """The first few names as one string, for error messages and logs."""
    more = ', ...' if len(names) > number else ''
    return ', '.join(map(str, names[:number])) + more
