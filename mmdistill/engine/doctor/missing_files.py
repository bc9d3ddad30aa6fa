"""Files and folders that a config names and that are not there."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dataset import BaseDataset

from mmdistill import registry as ours
from mmdistill.engine.doctor.finding import Finding, did_you_mean
from mmdistill.engine.doctor.named_types import registered
from mmdistill.engine.doctor.typed_parts import Part, parts

#: Settings of models that name a file of weights.
_WEIGHTS = ('teacher_ckpt', 'ckpt', 'checkpoint', 'load_from')
#: Settings of datasets that name a file below ``data_root``.
_LISTS = ('ann_file', 'list_file', 'class_list')


def missing_files(cfg: Mapping[str, Any], part: str) -> Iterator[Finding]:
    """Look for weights and data.

    Args:
        cfg: the resolved config.
        part: 'train', or 'test' for what a test needs alone: the weights
            then come from the checkpoint.
    """
    if part == 'train':
        yield from _missing_weights(cfg.get('model'), 'model')
        yield from _missing_weights(cfg.get('load_from'), 'load_from')
    needed = ('test_',) if part == 'test' else ('train_', 'val_', 'default_')
    for found in parts(cfg):
        if found.registry is ours.DATASETS and found.key.startswith(needed):
            yield from _missing_data(found)


def _missing_weights(value: Any, key: str) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _missing_weights(item, f'{key}.{name}')
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _missing_weights(item, f'{key}.{i}')
    elif isinstance(value, str):
        name = key.rpartition('.')[2]
        is_named = name in _WEIGHTS or value.endswith(('.pth', '.pt'))
        path = os.path.expanduser(value)
        if is_named and '://' not in value and not os.path.isfile(path):
            whose = 'teacher' if 'teacher' in key else 'model'
            yield Finding(
                key,
                f'the {whose} checkpoint {value!r} does not exist'
                f'{_beside(path)} Train it first, or name its file',
            )


def _missing_data(part: Part) -> Iterator[Finding]:
    settings = part.cfg
    cls = registered(part.registry, part.kind)
    if not inspect.isclass(cls) or not issubclass(cls, BaseDataset):
        return
    root = settings.get('data_root') or ''
    if _downloads(cls, settings) or not _is_local(root):
        return
    folder = os.path.expanduser(root)
    if root and not os.path.exists(folder):
        yield Finding(
            f'{part.key}.data_root',
            f'the folder {root!r} does not exist{_beside(folder)} The '
            f'current folder is {os.getcwd()!r}',
        )
        return
    named = {name: settings.get(name) for name in _LISTS}
    prefix = settings.get('data_prefix')
    if isinstance(prefix, Mapping):
        named |= {f'data_prefix.{k}': path for k, path in prefix.items()}
    else:
        named['data_prefix'] = prefix
    for name, path in named.items():
        if not isinstance(path, str) or not path or not _is_local(path):
            continue
        below = os.path.join(folder, os.path.expanduser(path))
        if not os.path.exists(below) and not os.path.exists(path):
            yield Finding(
                f'{part.key}.{name}',
                f'{below!r} does not exist{_beside(below)} The current '
                f'folder is {os.getcwd()!r}',
            )


def _downloads(cls: type, settings: Mapping[str, Any]) -> bool:
    """Whether a dataset fetches what is missing."""
    parameter = inspect.signature(cls).parameters.get('download')
    default = parameter is not None and parameter.default is True
    return bool(settings.get('download', default))


def _is_local(path: Any) -> bool:
    return isinstance(path, str) and '://' not in path and 's3:' not in path


def _beside(path: str) -> str:
    """What lies where a path should, with a name like it."""
    folder, name = os.path.split(path.rstrip('/'))
    if not os.path.isdir(folder or '.'):
        return f', as there is no folder {folder!r}.'
    return did_you_mean(name, os.listdir(folder or '.')) or '.'
