"""From which checkpoint a run goes on.

``last_checkpoint`` in the work folder names it. A pointer is a file like any
other: it can be lost, damaged, or come along from another run's folder.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from mmdistill.checkpoints import CheckpointError, load_file, replacing

POINTER = 'last_checkpoint'


def point_to(work_dir: str | os.PathLike, checkpoint: str) -> None:
    """Have ``last_checkpoint`` name a checkpoint.

    A file in the work folder is named without the folder, so that the pointer
    stays right when the folder is copied or moved.
    """
    folder, name = os.path.split(checkpoint)
    if os.path.realpath(folder) == os.path.realpath(work_dir):
        checkpoint = name
    with replacing(Path(work_dir, POINTER)) as file:
        file.write(checkpoint.encode())


def latest_checkpoint(work_dir: str | os.PathLike) -> str | None:
    """The checkpoint from which a run in this folder goes on, or None.

    It is the one that ``last_checkpoint`` names. If that file is missing or
    damaged, or names none that can be read, it is the newest full checkpoint
    of the folder, with a warning. The first process looks, and tells the
    others; all have to call.

    Raises:
        CheckpointError: if the folder had checkpoints, and none can be read.
    """
    answer: list = [None, None]
    if is_main_process():
        try:
            answer[0] = newest_full(work_dir, warn=True)
        except CheckpointError as error:
            answer[1] = str(error)
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise CheckpointError(answer[1])
    return answer[0]


def newest_full(work_dir: str | os.PathLike, warn: bool = False) -> str | None:
    """As :func:`latest_checkpoint`, for this process alone."""
    pointer = Path(work_dir, POINTER)
    named, problem = None, f'there is no {pointer}'
    if pointer.is_file():
        named, problem = _followed(pointer)
        if named is not None and '://' in named:
            return named  # on a store, of which nothing is known here
        if named is not None:
            problem = _why_not(named)
            if problem is None:
                return named
    folder = os.path.dirname(named) if named else os.fspath(work_dir)
    others = [path for path in _by_age(folder, named) if path != named]
    for path in others:
        if _why_not(path) is None:
            if warn:
                print_log(
                    f'{problem}; going on from {path}, the newest full '
                    'checkpoint that can be read',
                    logger='current',
                    level=logging.WARNING,
                )
            return path
    if not others and not pointer.is_file():
        return None
    raise CheckpointError(
        f'{problem}, and {folder} has no other full checkpoint to go on from. '
        f'Copy one there, or empty the folder (or choose another with '
        '--work-dir) to start anew.'
    )


def missing_for_resume(checkpoint: object, schedules: bool) -> list[str]:
    """What a checkpoint lacks, of what a run needs to go on.

    Args:
        checkpoint: what :func:`load_file` returned.
        schedules: whether the run has schedules of its learning rate.
    """
    if not isinstance(checkpoint, dict):
        return ['everything']
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    wanted = ['message_hub', 'optimizer']
    wanted += ['param_schedulers'] if schedules else []
    return [
        *(
            f'meta.{key}'
            for key in ('epoch', 'iter')
            if type(meta.get(key)) is not int
        ),
        *(key for key in wanted if key not in checkpoint),
    ]


def _followed(pointer: Path) -> tuple[str | None, str]:
    """The file that a pointer names, or None and why it names none.

    MMEngine writes whole paths. Of one the name counts, in this folder: the
    path leads back to the folder that this one was copied from. Only what
    CheckpointHook keeps elsewhere, below its ``out_dir`` in a folder that is
    called like this one, is looked for there.
    """
    text = pointer.read_bytes().decode(errors='replace').strip()
    if not text or len(text) > 4096 or not text.isprintable():
        return None, f'{pointer} is damaged'
    if '://' in text:
        return text, ''
    here = pointer.parent / os.path.basename(text)
    elsewhere = Path(text)
    if (
        not here.is_file()
        and elsewhere.is_file()
        and elsewhere.parent.name == pointer.parent.absolute().name
        and not (elsewhere.parent / POINTER).is_file()
    ):
        return text, ''
    return str(here), ''


def _by_age(folder: str, named: str | None) -> list[str]:
    """The checkpoints of a folder, the newest first, by their number.

    They are called as MMEngine calls them, or like ``named``.
    """
    kinds = {'epoch_', 'iter_'}
    if named is not None:
        kinds |= {_number(Path(named))[0]} - {None}
    found = [
        (_number(path)[1], str(path))
        for path in Path(folder).glob('*.pth')
        if _number(path)[0] in kinds
    ]
    return [path for _, path in sorted(found, reverse=True)]


def _number(path: Path) -> tuple[str | None, int]:
    """'epoch_' and 12 of ``epoch_12.pth``; None and 0 without a number."""
    found = re.fullmatch(r'(.*?)(\d+)', path.stem)
    if found is None or path.name.startswith('best_'):
        return None, 0
    return found[1], int(found[2])


def _why_not(path: str) -> str | None:
    """Why a run cannot go on from a file, or None if it can."""
    try:
        lacks = missing_for_resume(load_file(path), schedules=False)
    except (OSError, CheckpointError) as error:
        return str(error)
    return f'{path} has no {", ".join(lacks)}' if lacks else None
