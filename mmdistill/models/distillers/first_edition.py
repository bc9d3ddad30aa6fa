"""Configs and checkpoints of the first edition, for one release."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmdistill.models.memories import RunningMean
from mmdistill.registry import MODELS

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
#: CoCoRD's two losses, as the first edition had them by default.
_COCORD = dict(
    contrastive=dict(
        type='InfoNCELoss',
        target='teacher',
        queue_size=2048,
        temperature=0.1,
        loss_weight=1.0,
    ),
    prediction=dict(
        type='PredictionLoss',
        target='slow_student',
        predictor=dict(type='PredictorHead'),
        loss_weight=4.0,
    ),
)
#: Arguments of CoCoRD that are these losses' now.
_COCORD_ARGUMENTS = dict(
    queue_size=('contrastive', 'queue_size'),
    temperature=('contrastive', 'temperature'),
    contrastive_weight=('contrastive', 'loss_weight'),
    contrastive_encoder=('contrastive', 'target'),
    predictor=('prediction', 'predictor'),
    prediction_weight=('prediction', 'loss_weight'),
    cognate_encoder=('prediction', 'target'),
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

    Without any, and without a loss of embeddings, it is CoCoRD as the first
    edition had it by default.

    Args:
        losses: of the config.
        kwargs: of `CoCoRD`, with the first edition's among them.
    Returns:
        the losses and the other arguments.
    Raises:
        ValueError: if a loss of another kind has the name of one of the two,
            or both are left out.
    """
    losses = dict(losses or {})
    rest = dict(kwargs)
    old = {key: rest.pop(key) for key in _COCORD_ARGUMENTS if key in rest}
    if not old:
        if any(_level(cfg) == 'embedding' for cfg in losses.values()):
            return losses, rest
        _warn("CoCoRD's losses by default", f'model.losses={_COCORD}')
    own = {}
    for name, default in _COCORD.items():
        entry = losses.pop(name, default)
        if entry is None:
            entry = {**default, 'target': None}
        if _kind(entry) != default['type']:
            raise ValueError(
                f'a loss may not be named {name!r}: CoCoRD makes one of this '
                'name, as in the first edition; rename it in model.losses'
            )
        own[name] = copy.deepcopy(dict(entry))
    for key, value in old.items():
        name, argument = _COCORD_ARGUMENTS[key]
        own[name][argument] = value
        _warn(f'model.{key}', f'model.losses.{name}.{argument}')
    targets = [entry['target'] for entry in own.values()]
    if not set(targets) <= {'teacher', 'slow_student', None} or not any(
        targets
    ):
        raise ValueError(
            'CoCoRD takes contrastive_encoder and cognate_encoder from '
            f"('teacher', 'slow_student', None), not both None; got {targets}"
        )
    own = {k: entry for k, entry in own.items() if entry['target']}
    return {**own, **losses}, rest


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
    # A scheme of one's own may have a part of such a name.
    present = {f'{prefix}{key}' for key in model.state_dict()}
    for old, new in moved.items():
        for key in [k for k in state if k.startswith(prefix + old)]:
            if key in present:
                continue
            state[prefix + new + key[len(prefix + old) :]] = state.pop(key)
    for path, module in model.named_modules():
        key = f'{prefix}{path}'
        if isinstance(module, RunningMean) and key in state:
            state[f'{key}.value'] = state.pop(key).flatten()


def reorder_optimizer(
    model: nn.Module, state: Mapping[str, Any], optimizer: dict
) -> None:
    """Let an old checkpoint's optimizer have the present parameters' order.

    Optimizers know parameters by their order alone. The first edition had
    those of CoCoRD's further losses before its heads.

    Args:
        model: a distiller.
        state: the checkpoint's weights, with their old names and order.
        optimizer: its state, changed in place.
    Raises:
        ValueError: if the order changed and parameters have settings of their
            own, whose schedules know them by their order, too.
    """
    renamed = dict(state)
    rename_keys(model, renamed, '')
    learned = [k for k, p in model.named_parameters() if p.requires_grad]
    if renamed.keys() == state.keys() or not renamed.keys() >= {*learned}:
        return
    place = {id(value): i for i, value in enumerate(state.values())}
    before = sorted(learned, key=lambda name: place[id(renamed[name])])
    groups = optimizer.get('param_groups')
    if groups is None or before == learned:
        return
    if len(groups) > 1:
        raise ValueError(
            'this checkpoint is of the first edition, whose parameters had '
            'another order: with optim_wrapper.paramwise_cfg its optimizer '
            'cannot go on; start anew with load_from, or resume with the '
            'release that wrote it'
        )
    number = dict(zip(before, groups[0]['params'], strict=True))
    groups[0]['params'] = [number[name] for name in learned]


def _level(cfg: Any) -> str | None:
    """The level that a loss of a config compares."""
    if isinstance(cfg, nn.Module):
        return getattr(cfg, 'level', None)
    kind = (cfg or {}).get('type')
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    return (cfg or {}).get('level', getattr(cls, 'level', None))


def _kind(cfg: Mapping) -> str:
    kind = cfg.get('type')
    return getattr(kind, '__name__', str(kind)).rpartition('.')[2]


def _warn(old: str, new: str) -> None:
    print_log(
        f'{old} is of the first edition: write {new}; see UPGRADING.md',
        logger='current',
        level=logging.WARNING,
    )
