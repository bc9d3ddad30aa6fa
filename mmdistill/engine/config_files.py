"""Config files, and the files that they are made of."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.config import PREFIX, config_path, from_file
from mmdistill.engine.doctor.finding import did_you_mean
from mmdistill.utils import register_all_modules
from mmdistill.utils.shipped import shipped_folder


def read_config(path: str | Path, **options: Any) -> Config:
    """Read a config with its bases.

    Args:
        path: of the file; ``mmdistill::own_data/kd.py`` is one of ours, here
            and in ``_base_``.
        options: of MMEngine's ``Config.fromfile``.
    Raises:
        FileNotFoundError: if it does not exist, or a base of it: then with
            the config that names the base.
    """
    path = config_path(str(path))
    require_file(path, 'the config')
    try:
        return from_file(path, **options)
    except FileNotFoundError as error:
        found = _missing_base(Path(path))
        if found is None:
            raise
        config, name, base = found
        raise FileNotFoundError(
            f'_base_ of the config {str(config)!r} names {name!r}, which '
            f'does not exist{_near(base)}'
        ) from error


def registered_config(
    path: str | Path, options: dict[str, Any] | None = None
) -> Config:
    """Read a config, and import all that it may name.

    Args:
        path: of the file.
        options: laid over it, as of ``--cfg-options``.
    Raises:
        FileNotFoundError: see `read_config`.
    """
    # Modules that custom_imports names may lie in the current folder. At the
    # end of the path, so that nothing there hides an installed package.
    sys.path.append(os.getcwd())
    register_all_modules(init_default_scope=False)
    cfg = read_config(path)
    cfg.merge_from_dict(options or {})
    return cfg


def require_file(path: str, what: str) -> None:
    """Raise FileNotFoundError unless ``path`` is a file, or not a local one.

    ``what`` names it for the user: ``'the checkpoint (--resume)'``.
    """
    if '://' not in path and not os.path.isfile(path):
        raise FileNotFoundError(
            f'{what} {path!r} is not a file; the current folder is '
            f'{os.getcwd()!r}'
        )


def _missing_base(config: Path) -> tuple[Path, str, Path] | None:
    """The first config in a chain whose base is not there.

    Returns:
        the config, what it calls the base, and where that should be.
    """
    for name in _bases(config):
        if name.startswith(PREFIX):
            base = shipped_folder('configs') / name.removeprefix(PREFIX)
        elif '::' in name:  # of another package
            continue
        else:
            base = config.parent / name
        if not base.is_file():
            return config, name, base
        found = _missing_base(base)
        if found is not None:
            return found
    return None


def _bases(config: Path) -> list[str]:
    """The bases that a config names as literals."""
    if config.suffix != '.py':
        return []
    for statement in ast.parse(config.read_text('utf-8')).body:
        if (
            isinstance(statement, ast.Assign)
            and isinstance(statement.targets[0], ast.Name)
            and statement.targets[0].id == '_base_'
        ):
            names = ast.literal_eval(statement.value)
            return [names] if isinstance(names, str) else list(names)
    return []


def _near(path: Path) -> str:
    """What lies where a base should, with a name like it."""
    folder = path.parent.resolve()
    if not folder.is_dir():
        return f'; there is no folder {str(folder)!r}'
    return did_you_mean(path.name, [p.name for p in folder.glob('*.py')])
