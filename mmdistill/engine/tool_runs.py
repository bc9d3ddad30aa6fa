"""The scripts of tools/, run from Python and by the console command."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmdistill.config import shipped


@contextmanager
def tool(name: str, arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What a script defines, while the command line is the given one.

    Args:
        name: of the script, without its suffix.
        arguments: of the command line.
    """
    folder = shipped('tools')
    before = sys.argv, list(sys.path)
    sys.argv = [str(folder / f'{name}.py'), *arguments]
    sys.path.insert(0, str(folder))  # for what the scripts share
    try:
        yield runpy.run_path(sys.argv[0], run_name=f'mmdistill.tools.{name}')
    finally:
        sys.argv = before[0]
        sys.path[:] = before[1]


def train_config(config: str, work_dir: str, resume: bool) -> dict[str, float]:
    """Train a config as ``tools/train.py`` does.

    Args:
        config: its path.
        work_dir: folder of the run.
        resume: go on from the newest checkpoint there.
    Returns:
        the last value of everything that was logged.
    """
    arguments = [config, '--work-dir', work_dir]
    if resume:
        arguments.append('--resume')
    with tool('train', arguments) as train:
        train['run'](train['parse_args']())
    return last_values(Path(work_dir))


def last_values(folder: Path) -> dict[str, float]:
    """The last value of everything that the latest run in a folder logged."""
    latest = max(folder.glob('*/vis_data/scalars.json'))
    values: dict[str, float] = {}
    for line in latest.read_text().splitlines():
        values.update(json.loads(line))
    return values
