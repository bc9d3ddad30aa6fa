"""What models that are given by their names bring along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from mmdistill.models.zoo import (
    LIBRARIES,
    is_model_name,
    model_info,
    resolve_model,
)
from mmdistill.models.zoo.from_file import is_file_name
from mmdistill.models.zoo.library import NetworkLibrary

# Where neither a config nor a name says it: CIFAR's.
_SIZE = (3, 32, 32)


def complete_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A teacher's entry, with what its name says and the entry does not.

    The network becomes a config, ``input_size`` that of its images, and
    ``preprocessor`` a `ModelInfo`, for `AdaptedImages`. A file is its own
    ``ckpt``; without ``ckpt`` a library's published weights are taken.

    Args:
        entry: as `teacher_entries` returns it.
    """
    model = entry['model']
    if isinstance(model, nn.Module):
        return dict(entry)
    name = model if isinstance(model, str) else model.get('type')
    if not is_model_name(name):
        return dict(entry)
    info = model_info(name)
    size = entry.get('input_size')
    if size is None and isinstance(model, Mapping):
        size = model.get('input_size')
    if size is not None:
        info = replace(info, size=tuple(size[-2:]))
    entry = {**entry, 'input_size': size or (len(info.mean), *info.size)}
    if entry.get('preprocessor') is None:
        entry['preprocessor'] = info
    if is_file_name(name):
        entry['model'] = resolve_model(model)
        if entry.get('ckpt') is None:
            entry['ckpt'] = name
        del entry['model']['init_cfg']
        return entry
    defaults: dict[str, Any] = {}
    library = LIBRARIES[name.partition('/')[0]]
    if entry.get('ckpt') is None and library.publishes:
        defaults['pretrained'] = True
    if size is not None and isinstance(library, NetworkLibrary):
        defaults['input_size'] = tuple(size)
    entry['model'] = resolve_model(model, **defaults)
    return entry


def image_size(
    given: Sequence[int] | None, student: Any
) -> tuple[int, int, int]:
    """(C, H, W) of the images for the dry run of a distiller.

    Args:
        given: its ``input_size``.
        student: the student; by name, it says what it was made for.
    """
    if given is not None:
        return tuple(given)
    name = student.get('type') if isinstance(student, Mapping) else student
    if not is_model_name(name):
        return _SIZE
    options = student if isinstance(student, Mapping) else {}
    if options.get('input_size') is not None:
        size = tuple(options['input_size'])
        return size if len(size) == 3 else (3, *size)
    info = model_info(name)
    return (options.get('in_channels') or len(info.mean), *info.size)
