"""Configs and checkpoints of the first edition, for one release."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmdistill.models.memories import RunningMean

#: Memories of ``model.memories`` that losses own now: the argument that sizes
#: them, and the queue inside the loss, by the loss's type and the old name.
_OWNED = {
    ('SEEDLoss', 'queue'): 'queue',
    ('CompRessLoss', 'student_queue'): 'student_queue',
    ('CompRessLoss', 'teacher_queue'): 'teacher_queue',
    ('InfoNCELoss', 'negatives'): 'queue',
}
#: Keys of other parts, by the beginning of their names.
_MOVED = {
    'memories.dictionary.': 'losses.contrastive.queue.',
    'memories.first.': 'losses.clustering.queues.0.',
    'memories.second.': 'losses.clustering.queues.1.',
    'feature_classifier.': 'losses.classifier.classifier.',
    'predictor.': 'losses.prediction.predictor.',
}
#: Arguments of CoCoRD that its losses have now, and what they were without.
_COCORD = dict(
    predictor=dict(type='PredictorHead'),
    queue_size=2048,
    temperature=0.1,
    contrastive_weight=1.0,
    prediction_weight=4.0,
    contrastive_encoder='teacher',
    cognate_encoder='slow_student',
)


def own_memories(
    losses: Mapping[str, Any],
    memories: Mapping[str, dict] | None,
    memory_encoder: str | None = None,
    slow_student: bool = False,
) -> tuple[dict[str, Any], bool]:
    """Move ``model.memories`` and ``model.memory_encoder`` into losses.

    Returns:
        the losses, and whether there is a slow student.
    Raises:
        ValueError: for a memory that no loss of the first edition had.
    """
    losses = dict(losses)
    for old, memory in (memories or {}).items():
        takers = [
            name
            for name, cfg in losses.items()
            if isinstance(cfg, Mapping) and (_kind(cfg), old) in _OWNED
        ]
        if not takers:
            raise ValueError(
                f'model.memories names {old!r}, which no loss of '
                f'{sorted(losses)} keeps; losses own their memories now: give '
                'them queue_size, and remove model.memories'
            )
        for name in takers:
            losses[name] = copy.deepcopy(dict(losses[name]))
            losses[name].setdefault('queue_size', memory['size'])
            if 'dtype' in memory:
                losses[name].setdefault('queue_dtype', memory['dtype'])
            _warn(
                f'model.memories.{old}',
                f'model.losses.{name}.queue_size={memory["size"]}',
            )
    if memory_encoder not in (None, 'student', 'slow_student'):
        raise ValueError(
            "model.memory_encoder is 'student' or 'slow_student', got "
            f'{memory_encoder!r}; write model.slow_student=True and '
            "rows_of='slow_student' in the loss instead"
        )
    if memory_encoder == 'slow_student':
        slow_student = True
        for name, cfg in losses.items():
            if isinstance(cfg, Mapping) and _kind(cfg) == 'CompRessLoss':
                losses[name] = {'rows_of': 'slow_student', **cfg}
        _warn(
            "model.memory_encoder='slow_student'",
            "model.slow_student=True with rows_of='slow_student' in the loss",
        )
    return losses, slow_student


def cocord_losses(
    losses: Mapping[str, Any] | None, kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make CoCoRD's own arguments entries of its losses.

    Args:
        losses: of the config.
        kwargs: of `CoCoRD`, with the first edition's among them.
    Returns:
        the losses and the other arguments.
    """
    rest = dict(kwargs)
    old = {key: rest.pop(key) for key in _COCORD if key in rest}
    if not old:
        return dict(losses or {}), rest
    value = {**_COCORD, **old}
    encoders = value['contrastive_encoder'], value['cognate_encoder']
    if not set(encoders) <= {'teacher', 'slow_student', None} or not any(
        encoders
    ):
        raise ValueError(
            'CoCoRD takes contrastive_encoder and cognate_encoder from '
            f"('teacher', 'slow_student', None), not both None; got {encoders}"
        )
    own = {}
    if encoders[0]:
        own['contrastive'] = dict(
            type='InfoNCELoss',
            target=encoders[0],
            queue_size=value['queue_size'],
            temperature=value['temperature'],
            loss_weight=value['contrastive_weight'],
        )
    if encoders[1]:
        own['prediction'] = dict(
            type='PredictionLoss',
            target=encoders[1],
            predictor=value['predictor'],
            loss_weight=value['prediction_weight'],
        )
    taken = sorted(own.keys() & (losses or {}).keys())
    if taken:
        raise ValueError(
            f'a loss may not be named {taken}: {sorted(old)} make losses of '
            'these names; rename it in model.losses'
        )
    for key in old:
        _warn(f'model.{key}', 'model.losses.contrastive and .prediction')
    return {**own, **(losses or {})}, rest


def rename_keys(model: nn.Module, state: dict, prefix: str) -> None:
    """Give the weights of an old checkpoint their present names.

    Args:
        model: a distiller.
        state: changed in place.
        prefix: of the distiller's keys.
    """
    moved = dict(_MOVED)
    for name, loss in model.losses.items():
        for (kind, old), new in _OWNED.items():
            if type(loss).__name__ == kind:
                moved.setdefault(f'memories.{old}.', f'losses.{name}.{new}.')
    for old, new in moved.items():
        for key in [k for k in state if k.startswith(prefix + old)]:
            state[prefix + new + key[len(prefix + old) :]] = state.pop(key)
    for path, module in model.named_modules():
        key = f'{prefix}{path}'
        if isinstance(module, RunningMean) and key in state:
            state[f'{key}.value'] = state.pop(key).flatten()


def _kind(cfg: Mapping) -> str:
    kind = cfg.get('type')
    return getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def _warn(old: str, new: str) -> None:
    print_log(
        f'{old} is of the first edition: write {new}; see UPGRADING.md',
        logger='current',
        level=logging.WARNING,
    )
