"""A teacher whose classes are to be those of a user's data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.checkpoints import atomic_save
from mmdistill.datasets.own_data import DataError, OwnData
from mmdistill.engine.methods import Method, names_where
from mmdistill.export import load_student
from mmdistill.models.zoo import (
    LIBRARIES,
    get_model,
    is_model_name,
    model_info,
    resolve_model,
)
from mmdistill.utils.text import shown

_FC = 'head.fc'


def fit_teacher(
    teacher: str | dict,
    data: OwnData,
    method: Method,
    folder: Path,
    notes: list[str],
) -> str | dict:
    """The teacher, with the classes of the data if scores are compared.

    Classes are found by name, without regard to case, blanks and dashes: the
    rows of the teacher's last linear layer are chosen and written to
    ``folder/teacher.pth``.

    Args:
        teacher: its name, its file, or ``dict(type=NAME, ...)``.
        data: the images.
        method: which it teaches by.
        folder: of the run.
        notes: gets a line for what was done.
    Raises:
        DataError: if its classes are others.
    """
    name = teacher if isinstance(teacher, str) else teacher.get('type')
    if not is_model_name(name):
        raise ValueError(
            f'teacher={name!r} names no model; give LIBRARY/NAME, such as '
            "'timm/resnet18' (`mmdistill list models`), or a checkpoint file"
        )
    info = model_info(name)
    library = LIBRARIES.get(name.partition('/')[0])
    if library is not None and not library.publishes:
        raise DataError(
            f'the teacher {name!r} has no published weights, and would be a '
            'random network; train it on the data first (train_teacher=True, '
            '--train-teacher), or give its file'
        )
    if data.classes is None or not method.compares_scores:
        return teacher
    classes = data.classes
    if info.classes == classes:
        return teacher
    if info.classes is None:
        count = info.num_classes
        if isinstance(teacher, dict) and 'num_classes' in teacher:
            count = teacher['num_classes']
        if count == len(classes):
            notes.append(
                f'the teacher does not name its {count} classes: taken to be '
                f'{shown(classes)} in this order'
            )
            return teacher
    rows = rows_of(classes, info.classes or ())
    if rows is None:
        raise DataError(_refusal(name, info, classes, method))
    path = folder / 'teacher.pth'
    write_with_rows(name, rows, classes, path)
    notes.append(
        f'of the {len(info.classes)} classes of the teacher those of the data '
        f'were taken, by name: {path}'
    )
    return str(path)


def rows_of(classes: Sequence[str], known: Sequence[str]) -> list[int] | None:
    """Where each class stands among a teacher's; None if one is missing."""
    numbers: dict[str, int] = {}
    for number, name in enumerate(known):
        numbers.setdefault(_plain(name), number)
    rows = [numbers.get(_plain(name)) for name in classes]
    found = [row for row in rows if row is not None]
    return found if len(set(found)) == len(classes) else None


def write_with_rows(
    name: str, rows: Sequence[int], classes: Sequence[str], path: Path
) -> None:
    """Write a classifier that keeps some of its classes.

    Args:
        name: of the zoo, or a checkpoint file.
        rows: of its last linear layer.
        classes: their names.
        path: of the file.
    Raises:
        DataError: if it has no linear layer for its scores.
    """
    info = model_info(name)
    if Path(name).is_file():
        model = load_student(name).model
    else:
        model = get_model(name, pretrained=True)
    state = model.state_dict()
    if f'{_FC}.weight' not in state:
        raise DataError(
            f'the scores of the teacher {name!r} are not those of a linear '
            'layer, so classes cannot be taken out; train it on the data'
        )
    for part in ('weight', 'bias'):
        if f'{_FC}.{part}' in state:
            state[f'{_FC}.{part}'] = state[f'{_FC}.{part}'][list(rows)]
    cfg = resolve_model(dict(type=name, num_classes=len(classes)))
    cfg.pop('init_cfg', None)
    cfg.pop('pretrained', None)
    meta = dict(
        cfg=Config(dict(model=cfg)).pretty_text,
        dataset_meta=dict(classes=tuple(classes)),
        input_size=tuple(info.size),
    )
    atomic_save(dict(state_dict=state, meta=meta), path)


def _plain(name: str) -> str:
    return name.casefold().replace('_', ' ').replace('-', ' ').strip()


def _refusal(
    name: str, info: Any, classes: Sequence[str], method: Method
) -> str:
    known = set(map(_plain, info.classes or ()))
    missing = [c for c in classes if _plain(c) not in known]
    has = f'{info.num_classes or "no"} classes'
    if info.classes:
        has += f', without [{shown(missing)}]'
    others = names_where(
        lambda m: (
            m.kind == 'teacher'
            and not m.compares_scores
            and not m.is_label_free
        )
    )
    return (
        f'method={method.name!r} compares class scores, but the teacher '
        f'{name!r} has {has}, and the data has {len(classes)}: '
        f'{shown(classes)}. Train it on the data first (train_teacher=True, '
        '--train-teacher), or choose a method that compares no scores: '
        f'{others}'
    )
