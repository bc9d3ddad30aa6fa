"""Commands that end with one line when something is wrong."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from mmengine.logging import MMLogger
from torch.distributed.elastic.multiprocessing.errors import record

from mmdistill.engine.doctor.finding import ConfigError

#: Set to 1 it does what ``--debug`` does.
DEBUG = 'MMDISTILL_DEBUG'


def run_command(run: Callable[[Namespace], Any], args: Namespace) -> Any:
    """Call ``run(args)``; an error is told in its last line.

    The traceback goes to the log of the run, if there is one by then, and to
    the console with ``--debug`` or in a shell with MMDISTILL_DEBUG=1. Under
    torchrun the error is recorded for its summary, too.

    Args:
        run: what the command does.
        args: of the command; ``debug`` is read, if there.
    Raises:
        SystemExit: with code 1 after an error.
    """
    try:
        return record(run)(args)
    except Exception as error:
        asked = os.environ.get(DEBUG, '') not in ('', '0')
        if asked or getattr(args, 'debug', False):
            raise
        log = _write_to_log(error)
        text = message_of(error)
        if isinstance(error, ConfigError):
            text = '\nerror: '.join(text.splitlines())
        elif not _is_ours(error):
            where = f'in {log}' if log else 'shown with --debug'
            text = f'{text} (the traceback is {where})'
        print(f'error: {text}', file=sys.stderr, flush=True)
        raise SystemExit(1) from None


def message_of(error: BaseException) -> str:
    """What an error says; with its kind, unless we wrote it for a user."""
    # str() of a KeyError is quoted.
    is_key = isinstance(error, KeyError) and len(error.args) == 1
    text = str(error.args[0] if is_key else error).strip()
    if _is_ours(error) and text:
        return text
    return f'{type(error).__name__}: {text}'


def _is_ours(error: BaseException) -> bool:
    """Whether mmdistill raised it, which says what to change."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get('__name__', '').split(
        '.'
    )[0] in ('mmdistill', '__main__')


def _write_to_log(error: BaseException) -> str | None:
    """Keep the traceback in the files of the run's log; one of them."""
    if not MMLogger.check_instance_created('mmengine'):
        return None
    logger = MMLogger.get_current_instance()
    files = [h for h in logger.handlers if isinstance(h, logging.FileHandler)]
    text = ''.join(traceback.format_exception(error))
    entry = logging.LogRecord(
        logger.name, logging.ERROR, __file__, 0, text, None, None
    )
    for handler in files:
        handler.handle(entry)
    return files[-1].baseFilename if files else None
