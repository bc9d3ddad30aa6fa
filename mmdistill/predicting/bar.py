"""A bar on the terminal for what takes a while."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar('T')


def with_bar(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items; on a terminal with a bar of how many are done."""
    if not sys.stderr.isatty():
        yield from items
        return
    with Progress(
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        yield from bar.track(items, total=total, description=what)
