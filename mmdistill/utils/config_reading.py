"""Read configs whose bases may be those that mmdistill brings along.

MMEngine finds ``_base_ = 'mmpretrain::...'`` in packages of a table of its own
only, which mmdistill is not in. So a config with ``mmdistill::`` is copied
with the path in the place of that name, and MMEngine reads the copy.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.utils.shipped import shipped_folder

#: What stands before the path of a config of ours, below ``configs``.
PREFIX = 'mmdistill::'


def read_config(path: str | Path, **options: Any) -> Config:
    """MMEngine's ``Config.fromfile``, which also knows ``mmdistill::``.

    Args:
        path: of a config. It, or a base of it, may say ``_base_ =
            ['mmdistill::_base_/runtime.py']``; one of ours may also be named
            so itself.
        options: as of ``Config.fromfile``.
    Raises:
        FileNotFoundError: if mmdistill has no such config; near names.
    Config:
        _base_ = ['mmdistill::_base_/methods/kd.py', 'my_data.py']
    """
    path = str(path)
    if path.startswith(PREFIX):
        path = shipped_config(path, 'the command')
    path = os.path.abspath(os.path.expanduser(path))
    with tempfile.TemporaryDirectory() as folder:
        copied = _plain(path, Path(folder), ())
        if copied == path:
            return Config.fromfile(path, **options)
        cfg = Config.fromfile(copied, **options)
        text = cfg.text
        for name in os.listdir(folder):
            text = text.replace(os.path.join(folder, name), '')
        return Config(cfg._cfg_dict, text, path, cfg.env_variables)


def shipped_config(name: str, where: str) -> str:
    """The path of a config of ours.

    Args:
        name: ``mmdistill::`` and its path below ``configs``.
        where: who names it, for the error.
    Raises:
        FileNotFoundError: if there is none; it says which are near.
    """
    folder = shipped_folder('configs')
    wanted = name.removeprefix(PREFIX)
    path = folder / wanted
    if path.is_file():
        return str(path)
    known = [p.relative_to(folder).as_posix() for p in folder.rglob('*.py')]
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.6)
    hint = f'; did you mean {" or ".join(PREFIX + n for n in near)}?'
    raise FileNotFoundError(
        f'{where} names {name!r}, which mmdistill does not have'
        + (hint if near else f'; its configs lie in {folder}')
    )


def _plain(path: str, folder: Path, chain: tuple[str, ...]) -> str:
    """A config that MMEngine can read: itself, or a copy in ``folder``."""
    if not path.endswith('.py') or not os.path.isfile(path) or path in chain:
        return path  # MMEngine says what is wrong
    text = Path(path).read_text('utf-8')
    statement = _bases_of(text)
    if statement is None:
        return path
    named = ast.literal_eval(statement.value)
    bases = [named] if isinstance(named, str) else list(named)
    beside = [_beside(base, path) for base in bases]
    found = [
        shipped_config(base, f'_base_ of the config {path!r}')
        if base.startswith(PREFIX)
        else _plain(place, folder, (*chain, path))
        for base, place in zip(bases, beside, strict=True)
    ]
    if found == beside:
        return path
    return _copy(path, text, statement, found, folder)


def _beside(base: str, path: str) -> str:
    """Where a base lies that is no package's."""
    if '::' in base:
        return base
    return os.path.normpath(os.path.join(os.path.dirname(path), base))


def _bases_of(text: str) -> ast.Assign | None:
    """The statement ``_base_ = ...`` with literals, if there is one."""
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return None  # MMEngine says where
    for statement in statements:
        if (
            isinstance(statement, ast.Assign)
            and isinstance(statement.targets[0], ast.Name)
            and statement.targets[0].id == '_base_'
            and isinstance(statement.value, (ast.Constant, ast.List))
        ):
            return statement
    return None


def _copy(
    path: str,
    text: str,
    statement: ast.Assign,
    bases: list[str],
    folder: Path,
) -> str:
    """Write a config with other bases; its lines keep their numbers."""
    lines = text.splitlines(keepends=True)
    first, last = statement.lineno - 1, statement.end_lineno
    lines[first:last] = [f'_base_ = {bases!r}' + '\n' * (last - first)]
    text = ''.join(lines)
    # Predefined variables are those of the user's file, not of the copy.
    for key, value in _variables(path).items():
        text = re.sub(
            r'\{\{\s*' + key + r'\s*\}\}', lambda _, value=value: value, text
        )
    own = Path(tempfile.mkdtemp(dir=folder)) / os.path.basename(path)
    own.write_text(text, 'utf-8')
    return str(own)


def _variables(path: str) -> dict[str, str]:
    """MMEngine's predefined variables for a config."""
    name, suffix = os.path.splitext(os.path.basename(path))
    return dict(
        fileDirname=os.path.dirname(path),
        fileBasename=os.path.basename(path),
        fileBasenameNoExtension=name,
        fileExtname=suffix,
    )
