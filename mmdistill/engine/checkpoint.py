"""How checkpoints are read, as data, and written, whole or not at all.

A checkpoint may come from a stranger, and a pickle is a program. So files are
read by torch's weights-only unpickler with the short list below in place of
mmengine's, which holds ``getattr`` and thereby everything.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse

import mmengine
import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.fileio import LocalBackend
from mmengine.logging import print_log
from torch import nn

from mmdistill.engine.atomic import replacing
from mmdistill.engine.unpickling import only_our_globals

_SHOWN = 12  # tensors of a kind that an error lists
_trusted = False


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used: which, why, and what to change."""


class _NotData(CheckpointError):
    """A checkpoint that needs more than data, so that trust decides."""


def _check_zip(stream: BinaryIO, name: str) -> None:
    """Compare a zip's entries with their checksums, which torch does not."""
    start = stream.tell()
    is_zip = stream.read(4) == b'PK\x03\x04'  # what torch goes by
    stream.seek(start)
    if not is_zip:
        return
    try:
        with zipfile.ZipFile(stream) as archive:
            damaged = archive.testzip()
    except Exception as error:  # a damaged header can raise nearly anything
        raise CheckpointError(
            f'{name} is truncated or damaged ({error}). Delete it and copy '
            'or download it again.'
        ) from error
    if damaged is not None:
        raise CheckpointError(
            f'{name} is damaged: its entry {damaged} does not match its '
            'checksum. Delete it and copy or download it again.'
        )
    stream.seek(start)


def _torch_load(
    stream: BinaryIO, name: str, map_location: Any, weights_only: bool
) -> object:
    """``torch.load`` whose errors say what to do about a checkpoint."""
    try:
        return torch.load(
            stream, map_location=map_location, weights_only=weights_only
        )
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if type(error) is RuntimeError and 'map_location' in str(error):
            raise  # it needs a device that this machine lacks
        # torch wraps its reason in advice to load without restriction.
        reason = str(error.__context__ or error).rstrip('. ')
        if weights_only and (
            isinstance(error, pickle.UnpicklingError)
            or 'weights_only' in reason
        ):
            found = re.search(r'GLOBAL (\S+)', reason)
            why = f'it needs the global {found[1]}' if found else reason
            raise _NotData(
                f'{name} is refused ({why}): it holds more than tensors and '
                'plain values, or is truncated, damaged or no checkpoint. '
                'Nothing in it was executed. If you trust its origin, load '
                'it with --trust-checkpoints (tools) or '
                'mmdistill.engine.checkpoint.trust_checkpoints() (Python).'
            ) from None
        raise CheckpointError(
            f'{name} is truncated, damaged or no checkpoint '
            f'({type(error).__name__}: {error}). Expected a file written by '
            'torch.save; copy or download it again.'
        ) from error


def load_file(
    path_or_file: str | os.PathLike | BinaryIO, map_location: Any = 'cpu'
) -> object:
    """Read a file that ``torch.save`` wrote, without executing any of it.

    Args:
        path_or_file: a local path, or a seekable binary file object.
        map_location: as of ``torch.load``.

    Returns:
        The object in the file.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is truncated, damaged, no checkpoint, or
            needs code that is not on our list (unless checkpoints are
            trusted, see :func:`trust_checkpoints`).
    """
    if not hasattr(path_or_file, 'read'):
        path = os.path.expanduser(path_or_file)
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f'There is no checkpoint file {path} (looked up from '
                f'{os.getcwd()}); correct the path.'
            )
        with open(path, 'rb') as stream:
            return load_file(stream, map_location)
    name = str(getattr(path_or_file, 'name', 'The given file object'))
    start = path_or_file.tell()
    _check_zip(path_or_file, name)
    try:
        with only_our_globals():
            return _torch_load(path_or_file, name, map_location, True)
    except _NotData:
        if not _trusted:
            raise
    print_log(
        f'{name} needs more than tensors and plain values, and is executed '
        'because checkpoints are trusted.',
        logger='current',
        level=logging.WARNING,
    )
    path_or_file.seek(start)
    return _torch_load(path_or_file, name, map_location, False)


def trust_checkpoints(trust: bool = True) -> None:
    """Let this process load checkpoints that execute code, or not any more.

    Args:
        trust: True is what ``--trust-checkpoints`` of the tools sets. A file
            must still be whole.
    """
    global _trusted
    _trusted = trust


def checkpoints_are_trusted() -> bool:
    """Whether :func:`trust_checkpoints` was called."""
    return _trusted


def state_dict_of(checkpoint: object, name: str) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint, without DDP's 'module.' prefix.

    Args:
        checkpoint: what :func:`load_file` returned: a dict with the weights
            under 'state_dict' or 'model', or the weights themselves.
        name: what error messages call the checkpoint; its path.

    Raises:
        CheckpointError: if there are no weights in it, or not only weights.
    """
    expected = (
        "expected a dict with 'state_dict' or 'model', or a dict of "
        'tensors; save model.state_dict()'
    )
    weights = checkpoint
    if isinstance(checkpoint, dict):
        for key in ('model', 'state_dict'):
            if key in checkpoint:
                weights = checkpoint[key]
    if not isinstance(weights, dict) or not weights:
        empty = 'an empty' if isinstance(weights, dict) else 'a'
        raise CheckpointError(
            f'{name} holds {empty} {type(weights).__name__} where its '
            f'weights should be, {expected}.'
        )
    others = [
        key
        for key, value in weights.items()
        if not (isinstance(key, str) and isinstance(value, torch.Tensor))
    ]
    if others:
        raise CheckpointError(
            f'{name} holds other things than tensors under {others[:8]}, '
            f'{expected}.'
        )
    result = OrderedDict(
        (key.removeprefix('module.'), weights[key]) for key in weights
    )
    metadata = getattr(weights, '_metadata', None)
    if isinstance(metadata, dict):  # layer versions, read by load_state_dict
        result._metadata = OrderedDict(
            (f'{key}.'.removeprefix('module.')[:-1], metadata[key])
            for key in metadata
        )
    return result


def classes_of(meta: object) -> tuple[str, ...] | None:
    """Names of the classes that a checkpoint's ``meta`` tells of, or None."""
    if not isinstance(meta, dict):
        return None
    of_dataset = meta.get('dataset_meta')
    if isinstance(of_dataset, dict) and 'classes' in of_dataset:
        return names_of(of_dataset['classes'])
    return names_of(meta.get('CLASSES'))  # mmcls 0.x


def names_of(names: object) -> tuple[str, ...] | None:
    """A list of names, or None if it is none or empty."""
    if not isinstance(names, (list, tuple)) or not names:
        return None
    return tuple(map(str, names))


def load_strictly(
    model: nn.Module,
    state: dict[str, torch.Tensor],
    name: str,
    advice: str,
    whole: bool = False,
) -> None:
    """Load weights so that no tensor of the model stays as it was.

    torch's own rules decide what fits: a model may adapt a tensor while it
    loads, as ViTs do with position embeddings.

    Args:
        model: what is loaded into.
        state: its weights; counters of batches may be missing.
        name: what error messages call them, a path.
        advice: what error messages end with.
        whole: also refuse weights that the model has no use for.

    Raises:
        CheckpointError: if tensors are missing, have another shape, or (with
            ``whole``) are left over; it lists them.
    """
    shapes, missing, misfits, left = _try_load(model, state)
    left = left if whole else []
    wrong = []
    for kind in (
        [f'missing: {key} {shapes[key]}' for key in missing],
        list(misfits.values()),
        [f'left over: {key}' for key in left],
    ):
        if len(kind) > _SHOWN:
            kind[_SHOWN:] = [f'... and {len(kind) - _SHOWN} more']
        wrong += kind
    if not wrong:
        return
    raise CheckpointError(
        f'{name} does not fit {type(model).__name__}: of its {len(shapes)} '
        f'tensors {len(missing)} are missing and {len(misfits)} have another '
        f'shape; {len(left)} of the file are left over\n  '
        + '\n  '.join(wrong)
        + f'\n{advice}'
    )


def load_partly(
    model: nn.Module, state: dict[str, torch.Tensor], name: str, advice: str
) -> tuple[list[str], list[str]]:
    """Load the weights that fit; the model's other tensors stay.

    Args:
        model, state, name, advice: as of :func:`load_strictly`.

    Returns:
        The names of the model's tensors that stay as they were, and of the
        file's that were not taken.

    Raises:
        CheckpointError: if no tensor fits.
    """
    shapes, missing, misfits, left = _try_load(model, state)
    stay = sorted({*missing, *misfits})
    if not state.keys() - {*left, *misfits}:
        raise CheckpointError(
            f'{name} has no tensor that fits {type(model).__name__}: it has '
            f'{sorted(state)[:_SHOWN]}, expected some of '
            f'{list(shapes)[:_SHOWN]}\n{advice}'
        )
    return stay, sorted({*left, *misfits})


def _try_load(
    model: nn.Module, state: dict[str, torch.Tensor]
) -> tuple[dict[str, tuple], list[str], dict[str, str], list[str]]:
    """Load what fits.

    Returns:
        The shapes of the model's tensors; of them those that are missing, and
        by name what torch says of those that do not fit; the weights that the
        model has no use for.
    """
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    misfits: dict[str, str] = {}
    try:
        missing, left = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        lines = str(error).splitlines()
        for line in map(str.strip, lines[1:] or lines):
            key = line.removeprefix('size mismatch for ').split(':')[0]
            misfits[key] = line
        missing = shapes.keys() - state.keys()
        left = state.keys() - shapes.keys()
    missing = sorted(
        key for key in missing if not key.endswith('num_batches_tracked')
    )
    return shapes, missing, misfits, sorted(left)


def _put(self, obj: bytes, filepath: str | os.PathLike) -> None:
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


def _load_for_mmengine(file, map_location=None, weights_only=None):
    """mmengine's ``_safe_torch_load``; ``weights_only`` is ours to decide."""
    checkpoint = load_file(file, map_location)
    if _trusted:
        return checkpoint
    is_path = isinstance(file, (str, os.PathLike))
    folder = os.path.dirname(os.path.realpath(file)) if is_path else None
    return _disarmed(checkpoint, folder)


def _load_url(url, model_dir=None, map_location=None, progress=True):
    """mmengine's ``load_url``: fetch a file once, then read it as any."""
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    path = folder / os.path.basename(urlparse(url).path)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=progress)
    return _load_for_mmengine(path, map_location)


def install_loading_policy() -> None:
    """Make mmengine read and write checkpoints through this module.

    Runner's ``resume`` and ``load_from``, the ``Pretrained`` initialisation
    and everything else that uses mmengine's loaders then read with
    :func:`load_file`, and local checkpoints are replaced atomically. Calling
    it again changes nothing.

    Raises:
        ImportError: if mmengine has another loader than we replace.
    """
    for door in ('_safe_torch_load', 'load_url'):
        if not hasattr(mmengine_checkpoint, door):
            raise ImportError(
                f'mmengine {mmengine.__version__} has no {door} in '
                'mmengine.runner.checkpoint, so its checkpoints would be '
                'loaded unchecked; install onedl-mmengine >= 0.10.12.'
            )
    mmengine_checkpoint._safe_torch_load = _load_for_mmengine
    mmengine_checkpoint.load_url = _load_url
    LocalBackend.put = _put
