"""One training at a time in a work folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

LOCK = 'run.lock'
# Seconds in which whoever made a lock has written it, too.
_PATIENCE = 5.0
# Folders that this process has locked.
_held: set[str] = set()


class FolderInUse(RuntimeError):
    """Another run writes into the work folder."""


@contextlib.contextmanager
def sole_run(work_dir: str | os.PathLike) -> Iterator[None]:
    """Keep a second run out of a work folder while the body runs.

    The first process of a run makes a file ``run.lock`` there, as no lock of
    the operating system holds on every file system; all processes have to
    call. The lock of a process that is gone from this host is taken over, and
    so is that of an earlier start of this Slurm job, on any host. Within the
    body it may be called again.

    Raises:
        FolderInUse: in every process, if another run holds the folder, or one
            on another host did not give it back.
    """
    path = Path(work_dir, LOCK)
    key = os.path.realpath(path)
    if key in _held:
        yield
        return
    refusal, mine = [None], None
    if is_main_process():
        try:
            mine = _take(path)
        except FolderInUse as error:
            refusal[0] = str(error)
    broadcast_object_list(refusal)
    if refusal[0] is not None:
        raise FolderInUse(refusal[0])
    _held.add(key)
    try:
        yield
    finally:
        _held.discard(key)
        if mine is not None and _read(path) == mine:
            path.unlink(missing_ok=True)


def _take(path: Path) -> dict:
    """Make the lock; returns what stands in it."""
    mine = _this_run()
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(10):
        try:
            with path.open('x') as file:
                json.dump(mine, file)
            return mine
        except FileExistsError:
            pass
        holder = _read(path)
        reason = _why_over(holder, mine, path)
        if reason is not None and _set_aside(path, holder):
            print_log(
                f'{path} is taken over: {reason}',
                logger='current',
                level=logging.WARNING,
            )
    raise FolderInUse(f'several runs want {path.parent} at the same time')


def _this_run() -> dict:
    return dict(
        id=uuid.uuid4().hex,
        host=socket.gethostname(),
        pid=os.getpid(),
        started=_started(os.getpid()),
        pids=_pids(),
        boot=_boot(),
        job=_job(),
        restart=int(os.environ.get('SLURM_RESTART_COUNT', 0)),
        since=time.strftime('%Y-%m-%d %H:%M:%S'),
    )


def _why_over(holder: dict | None, mine: dict, path: Path) -> str | None:
    """Why a lock's run is over; None if the lock has just gone.

    Raises:
        FolderInUse: if the run goes on, or may.
    """
    if holder is None:
        if path.exists():
            return 'it is damaged'
        return None
    who = (
        f'process {holder["pid"]} on {holder["host"]} (since '
        f'{holder["since"]})'
    )
    another = 'choose another folder with --work-dir'
    if (
        holder['job'] is not None
        and holder['job'] == mine['job']
        and holder['restart'] < mine['restart']
    ):
        return f'{who} was an earlier start of this Slurm job'
    if holder['host'] != mine['host'] or (
        holder['boot'] == mine['boot'] and holder['pids'] != mine['pids']
    ):
        raise FolderInUse(
            f'a run of {who} has not given back the work folder {path.parent};'
            f' from {mine["host"]} nobody can tell whether it still goes on. '
            f'If it does, {another}; if it does not, delete {path}'
        )
    if holder['boot'] != mine['boot']:
        return f'{who} ended when the host was started again'
    if _lives(holder['pid'], holder['started']):
        raise FolderInUse(
            f'{who} is training in the work folder {path.parent}; {another}, '
            'or wait until it ends'
        )
    return f'{who} has ended without giving it back'


def _set_aside(path: Path, seen: dict | None) -> bool:
    """Remove a lock, unless another process has taken it over meanwhile."""
    aside = path.with_name(f'{path.name}.{uuid.uuid4().hex[:8]}.tmp')
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    if _parse(aside) != seen:
        aside.rename(path)
        return False
    aside.unlink()
    return True


def _read(path: Path) -> dict | None:
    """What stands in a lock; None if it is gone or damaged."""
    end = time.monotonic() + _PATIENCE
    while True:
        content = _parse(path)
        if content is not None or not path.exists():
            return content
        if time.monotonic() > end:
            return None
        time.sleep(0.1)


def _parse(path: Path) -> dict | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    sound = (
        isinstance(content, dict)
        and content.keys() >= _this_run().keys()
        and all(type(content[key]) is int for key in ('pid', 'restart'))
    )
    return content if sound else None


def _lives(pid: int, started: str | None) -> bool:
    """Whether the process that had this number then is still there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another user
    return _started(pid) in (None, started)


def _started(pid: int) -> str | None:
    """When a process started; None where the system does not say.

    Numbers of processes are used again; a number and a start are not. One
    that has ended and that nobody has waited for did not start.
    """
    try:
        status = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    state, *fields = status.rpartition(')')[2].split()
    return 'ended' if state in 'ZX' else fields[18]


def _pids() -> str | None:
    """In which numbering of processes this one is: containers have theirs."""
    try:
        return os.readlink('/proc/self/ns/pid')
    except OSError:
        return None


def _boot() -> str | None:
    """Which start of the host this is."""
    try:
        return Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    except OSError:
        return None


def _job() -> str | None:
    """The Slurm job, by its cluster and number."""
    number = os.environ.get('SLURM_JOB_ID')
    if number is None:
        return None
    return f'{os.environ.get("SLURM_CLUSTER_NAME", "")}/{number}'
