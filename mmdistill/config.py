"""Config files, in which ``mmdistill::`` stands for the folder of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.utils.shipped import shipped_folder

#: How a config names one of ours: ``_base_ = 'mmdistill::own_data/kd.py'``.
PREFIX = 'mmdistill::'


def config_path(name: str) -> str:
    """The path of a config that may be one of ours.

    Args:
        name: a path, or ``mmdistill::`` and a path in our folder.
    Raises:
        FileNotFoundError: if we have no such config, with those near it.
    """
    if not name.startswith(PREFIX):
        return name
    folder = shipped_folder('configs')
    path = folder / name.removeprefix(PREFIX)
    if path.is_file():
        return str(path)
    known = [p.relative_to(folder).as_posix() for p in folder.rglob('*.py')]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=3)
    hint = ' or '.join(f'{PREFIX}{other}' for other in near)
    raise FileNotFoundError(
        f'{name!r} is no config of mmdistill'
        + (f'; did you mean {hint}?' if near else f'; they are in {folder}')
    )


@contextmanager
def _our_configs() -> Iterator[None]:
    """Let MMEngine find configs of ours, while it reads one.

    Of the packages that a base may name, MMEngine has a table of its own.
    """
    find = Config._get_cfg_path

    def found(path: str, filename: str) -> tuple[str, str | None]:
        if path.startswith(PREFIX):
            return config_path(path), None
        return find(path, filename)

    Config._get_cfg_path = staticmethod(found)
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(find)


def from_file(path: str | Path, **options: Any) -> Config:
    """MMEngine's ``Config.fromfile``, for configs whose bases may be ours.

    Args:
        path: of the config, see `config_path`.
        options: of MMEngine's.
    """
    with _our_configs():
        return Config.fromfile(config_path(str(path)), **options)
