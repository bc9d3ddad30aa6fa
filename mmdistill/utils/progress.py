"""A bar for what takes a while; where there is no terminal, a line."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

#: Seconds from one line to the next where there is no terminal.
INTERVAL = 10.0
T = TypeVar('T')


def progress(items: Iterable[T], what: str) -> Iterator[T]:
    """The items, with a bar that tells how many of them are done.

    Args:
        items: of any kind; one with a length gets a bar with an end.
        what: is being done, for the bar's front.
    """
    total = len(items) if isinstance(items, Sized) else None
    with progress_bar(what, total) as advance:
        for item in items:
            yield item
            advance(1)


@contextmanager
def progress_bar(
    what: str, total: int | None
) -> Iterator[Callable[[int], None]]:
    """A bar to be moved by hand; the first process alone shows it.

    On a terminal it is gone when it is done. Elsewhere a line is logged every
    `INTERVAL` seconds, and none of what is quicker.

    Args:
        what: is being done.
        total: steps, None if unknown.
    Yields:
        a function that is told how many steps were done.
    """
    if not is_main_process():
        yield lambda steps: None
    elif is_terminal():
        columns = TextColumn('{task.description}'), BarColumn()
        columns += MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(
            *columns,
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        ) as bar:
            task = bar.add_task(what, total=total)
            yield lambda steps: bar.advance(task, steps)
    else:
        yield _Lines(what, total)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something goes on of which nobody knows how far it is."""
    if not is_main_process():
        yield
        return
    if is_terminal():
        with Console(stderr=True).status(f'{what} …'):
            yield
        return
    ended = threading.Event()
    start = time.monotonic()

    def tell() -> None:
        while not ended.wait(INTERVAL):
            say(f'{what} … {time.monotonic() - start:.0f} s')

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def is_terminal() -> bool:
    """Whether somebody sees bars: they are drawn on stderr."""
    return sys.stderr.isatty()


def say(text: str) -> None:
    """Log a line, to the console and to the log of the run if there is one."""
    print_log(text, logger='current')


def clock(seconds: float) -> str:
    """Seconds as 1:02:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}'


class _Lines:
    """What stands in the log instead of a bar."""

    def __init__(self, what: str, total: int | None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.start = self.last = time.monotonic()

    def __call__(self, steps: int) -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.last < INTERVAL or self.done == self.total:
            return
        self.last = now
        text = f'{self.what}: {self.done}'
        if self.total:
            rest = (now - self.start) / self.done * (self.total - self.done)
            text += f'/{self.total}, {clock(rest)} to go'
        say(text)
