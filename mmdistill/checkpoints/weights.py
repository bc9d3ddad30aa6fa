"""The weights in a checkpoint, and how they get into a model: all of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from mmdistill.checkpoints.finite import not_finite
from mmdistill.checkpoints.reading import CheckpointError
from mmdistill.utils.text import shown

_SHOWN = 12  # tensors of a kind that an error lists


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
    result: Any = OrderedDict(
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


def require_finite(
    state: dict[str, torch.Tensor], name: str, advice: str
) -> None:
    """Refuse the weights of a run that diverged.

    Args:
        state, name, advice: as of :func:`load_strictly`.

    Raises:
        CheckpointError: if a tensor holds NaN or infinity; it names them.
    """
    bad = not_finite(state)
    if bad:
        raise CheckpointError(
            f'{name} comes from a run that diverged: of its {len(state)} '
            f'tensors {len(bad)} hold NaN or infinity: {shown(bad)}. Take a '
            f'file from before that.\n{advice}'
        )


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
        CheckpointError: if tensors are missing, have another shape, hold NaN
            or infinity, or (with ``whole``) are left over; it lists them.
    """
    require_finite(state, name, advice)
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
        CheckpointError: if no tensor fits, or one holds NaN or infinity.
    """
    require_finite(state, name, advice)
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
) -> tuple[dict[str, tuple[int, ...]], list[str], dict[str, str], list[str]]:
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
