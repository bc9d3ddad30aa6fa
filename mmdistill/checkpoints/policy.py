"""MMEngine's doors to checkpoints, while our own code works."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse

import mmengine
import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.fileio import LocalBackend
from mmengine.runner import CheckpointLoader

from mmdistill.checkpoints.reading import (
    checkpoints_are_trusted,
    load_file,
    require_safe_torch,
)
from mmdistill.checkpoints.writing import replacing

_lock = threading.Lock()
_depth = 0
_originals: dict[tuple[Any, str], Any] = {}


@contextlib.contextmanager
def loading_policy() -> Iterator[None]:
    """Let mmengine read and write checkpoints through this package.

    Within the body, ``resume``, ``load_from``, the ``Pretrained``
    initialization and everything else that uses mmengine's loaders read with
    :func:`load_file`, and local checkpoints are replaced atomically. Behind
    it mmengine is as it was. `DistillRunner`, the tools and our loaders work
    within it; it may be entered again.

    Raises:
        ImportError: if mmengine has another loader than we replace, or torch
            an unpickler that a file can get past (CVE-2026-24747).
    """
    global _depth
    require_safe_torch()
    doors = {
        (mmengine_checkpoint, '_safe_torch_load'): _load_for_mmengine,
        (mmengine_checkpoint, 'load_url'): _load_url,
        (LocalBackend, 'put'): _put,
    }
    for owner, name in doors:
        if not hasattr(owner, name):
            raise ImportError(
                f'mmengine {mmengine.__version__} has no {name} in '
                f'{owner.__name__}, so its checkpoints would be loaded '
                'unchecked; install onedl-mmengine >= 0.10.12.'
            )
    with _lock:
        if not _depth:
            for (owner, name), ours in doors.items():
                _originals[owner, name] = getattr(owner, name)
                setattr(owner, name, ours)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if not _depth:
                for (owner, name), original in _originals.items():
                    setattr(owner, name, original)
                _originals.clear()


def load_checkpoint(address: str, map_location: Any = 'cpu') -> object:
    """Read a checkpoint from wherever mmengine finds it, as data.

    Args:
        address: a path, or an address that mmengine reads (``https://``,
            ``torchvision://``, ...).
        map_location: as of ``torch.load``.

    Raises:
        CheckpointError: as of :func:`load_file`.
    """
    with loading_policy():
        return CheckpointLoader.load_checkpoint(address, map_location)


def _put(
    self: LocalBackend, obj: bytes, filepath: str | os.PathLike[str]
) -> None:
    """``LocalBackend.put``, through which mmengine writes checkpoints."""
    with replacing(filepath) as file:
        file.write(obj)


def _is_own_record(key: object, value: object, folder: str | None) -> bool:
    """Whether ``CheckpointHook`` may act on an entry of ``runtime_info``.

    It deletes what 'best_ckpt...' and 'keep_ckpt_ids' name, even folders;
    its own best checkpoints lie beside the others.
    """
    if str(key).startswith('best_ckpt'):
        return (
            isinstance(value, str)
            and os.path.realpath(os.path.dirname(value)) == folder
            and re.fullmatch(r'best_.*\.pth', os.path.basename(value))
            is not None
        )
    if key == 'keep_ckpt_ids':
        return type(value) is list and all(type(i) is int for i in value)
    return True


def _disarmed(checkpoint: object, folder: str | None) -> object:
    """Drop what mmengine would act on: code to run and paths to delete.

    ``Runner.resume`` executes ``meta['config']``, an entry of mmcv 1, as
    Python. ``dict.get(x)`` because a file can shadow ``x.get``.
    """
    if not isinstance(checkpoint, dict):
        return checkpoint
    meta = dict.get(checkpoint, 'meta')
    if isinstance(meta, dict):
        checkpoint['meta'] = {
            key: value for key, value in dict.items(meta) if key != 'config'
        }
    if 'message_hub' in checkpoint:
        hub = dict(dict.items(checkpoint['message_hub']))
        hub['runtime_info'] = {
            key: value
            for key, value in dict.items(hub['runtime_info'])
            if _is_own_record(key, value, folder)
        }
        checkpoint['message_hub'] = hub
    return checkpoint


def _load_for_mmengine(
    file: str | os.PathLike[str] | BinaryIO,
    map_location: Any = None,
    weights_only: bool | None = None,
) -> object:
    """mmengine's ``_safe_torch_load``; ``weights_only`` is ours to decide."""
    checkpoint = load_file(file, map_location)
    if checkpoints_are_trusted():
        return checkpoint
    folder = None
    if isinstance(file, (str, os.PathLike)):
        folder = os.path.dirname(os.path.realpath(file))
    return _disarmed(checkpoint, folder)


def _load_url(
    url: str,
    model_dir: str | os.PathLike[str] | None = None,
    map_location: Any = None,
    progress: bool = True,
) -> object:
    """mmengine's ``load_url``: fetch a file once, then read it as any."""
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    path = folder / os.path.basename(urlparse(url).path)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=progress)
    return _load_for_mmengine(path, map_location)
