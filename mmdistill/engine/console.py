"""What a run prints before it trains: a page; the log file has the rest."""

from __future__ import annotations

import contextlib
import logging

#: MMEngine warns its users of what it does itself at every checkpoint.
_OF_ITSELF = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
)


class NothingOfItself(logging.Filter):
    """Drops what MMEngine says of its own deprecated parts."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(_OF_ITSELF)


class OnlyWarnings(logging.Filter):
    """Lets warnings and errors pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING


def hush(logger: logging.Logger) -> contextlib.ExitStack:
    """Keep what is logged off the console, but for warnings.

    The log file still gets everything. A console of level DEBUG is left
    alone: whoever asks for that wants to see it.

    Args:
        logger: of a run.
    Returns:
        what ends it when it is closed.
    """
    heard = contextlib.ExitStack()
    for handler in logger.handlers:
        is_file = isinstance(handler, logging.FileHandler)
        if not is_file and handler.level > logging.DEBUG:
            only = OnlyWarnings()
            handler.addFilter(only)
            heard.callback(handler.removeFilter, only)
    return heard


def drop_noise(logger: logging.Logger) -> None:
    """Have neither console nor log file repeat `NothingOfItself`'s."""
    for handler in logger.handlers:
        handler.addFilter(NothingOfItself())
