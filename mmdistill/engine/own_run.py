"""From a folder of images to a trained student: what `distill` does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmdistill.checkpoints import load_file, replacing
from mmdistill.datasets.list_file import write_list
from mmdistill.datasets.own_data import DataError, OwnData, look_at
from mmdistill.engine.methods import KINDS, Method, get_method, names_where
from mmdistill.engine.own_config import HERE, config_text
from mmdistill.engine.own_encoder import (
    level_of_features,
    mapped_to_teacher,
)
from mmdistill.engine.own_teacher import fit_teacher
from mmdistill.engine.recipe import recipe_for
from mmdistill.engine.training import train, train_arguments
from mmdistill.export import ExportOptions, export_student
from mmdistill.models.zoo import is_model_name, model_info
from mmdistill.models.zoo.from_file import is_file_name
from mmdistill.registry import EXPORT_FORMATS
from mmdistill.utils import register_all_modules

CONFIG = 'config.py'
# What only a run leaves behind.
_OF_A_RUN = ('last_checkpoint', 'student.pth', 'student_best.pth', 'run.lock')


@dataclass(frozen=True)
class Result:
    """What a run has made.

    Attributes:
        student: file of the best student, or of the last without labels.
        accuracy: its validation accuracy in percent; of k-NN if it was
            trained without labels. None without validation images.
        config: the config, which ``mmdistill train`` takes.
        report: the report, an HTML file; None if there is none.
        exported: the exported file, if one was asked for.
    """

    student: Path
    accuracy: float | None
    config: Path
    report: Path | None = None
    exported: Path | None = None


def run(
    data: str | os.PathLike,
    student: str | dict,
    teacher: str | dict | None,
    method: str,
    out: str | os.PathLike | None,
    resume: bool,
    train_teacher: bool,
    export: str | None,
    options: Mapping[str, Any] | None,
    val: str | os.PathLike | None = None,
    labels: bool | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    flip: bool = True,
    **numbers: float | None,
) -> Result:
    """See `mmdistill.distill`."""
    register_all_modules(init_default_scope=False)
    chosen = get_method(method)
    _check_models(chosen, student, teacher)
    if export is not None and EXPORT_FORMATS.get(export) is None:
        known = sorted(EXPORT_FORMATS.module_dict)
        raise ValueError(f'export={export!r} is none of the formats {known}')
    folder = _folder(data, method, out)
    config = folder / CONFIG
    if resume and config.is_file():
        print(f'goes on with the run in {folder}, as its config says')
    else:
        _require_free(folder)
        found = look_at(data, val, labels, val_share, seed)
        _require_outside(folder, found)
        _check_labels(chosen, found)
        notes = list(found.notes)
        if train_teacher and chosen.has_teacher:
            teacher = _trained_teacher(
                data, teacher, folder, val, val_share, seed, flip, numbers
            )
        if teacher is not None:
            teacher = fit_teacher(teacher, found, chosen, folder, notes)
        write_config(
            folder, found, chosen, student, teacher, seed, flip,
            options or {}, numbers, notes,
        )  # fmt: skip
    train(train_arguments(str(config), resume='auto' if resume else None))
    return _result(folder, student, export)


def write_config(
    folder: Path,
    data: OwnData,
    method: Method,
    student: str | dict,
    teacher: str | dict | None,
    seed: int,
    flip: bool,
    options: Mapping[str, Any],
    numbers: Mapping[str, Any],
    notes: list[str],
) -> None:
    """Write the lists of images and the config, and print what was chosen."""
    student = _with_classes(student, teacher, data, method)
    info = model_info(student['type'])
    fixed = info.is_fixed or student['type'].startswith('cifar/')
    fixed = fixed or is_file_name(student['type'])
    recipe = recipe_for(
        len(data.train),
        data.side,
        method.settings.get('losses') or {},
        info.size[0] if fixed else None,
        torch.cuda.is_available(),
        **numbers,
    )
    student = mapped_to_teacher(student, teacher, method, recipe.size)
    options = {**level_of_features(method), **options}
    if isinstance(teacher, str) and Path(teacher).is_relative_to(folder):
        # so that the folder can be copied
        teacher = f'{HERE}/{Path(teacher).relative_to(folder).as_posix()}'
    text = config_text(
        method, student, teacher, data, recipe, seed, flip, options
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_list(folder / 'train.csv', data.train)
    if data.val:
        write_list(folder / 'val.csv', data.val)
    if data.skipped:
        lines = [f'{path}\t{why}\n' for path, why in data.skipped.items()]
        (folder / 'skipped.txt').write_text(''.join(lines), 'utf-8')
    with replacing(folder / CONFIG) as file:
        file.write(text.encode())
    classes = 'no labels'
    if data.classes is not None:
        classes = f'{len(data.classes)} classes'
    print(
        f'{data.root}: {len(data.train)} images to train with, '
        f'{len(data.val)} to validate with, {classes}'
    )
    for note in notes:
        print(f'  note: {note}')
    for reason in recipe.reasons:
        print(f'  {reason}')
    if flip:
        print('  images are mirrored at random; flip=False where it matters')
    print(f'config: {folder / CONFIG}', flush=True)


def _folder(
    data: str | os.PathLike, method: str, out: str | os.PathLike | None
) -> Path:
    if out is None:
        out = Path('work_dirs', f'{Path(data).resolve().stem}_{method}')
    return Path(out).expanduser().absolute()


def _require_free(folder: Path) -> None:
    """Raise FileExistsError for a folder in which another run lies."""
    if folder.is_file():
        raise FileExistsError(f'out={str(folder)!r} is a file; give a folder')
    found = [name for name in (CONFIG, *_OF_A_RUN) if (folder / name).exists()]
    if found:
        raise FileExistsError(
            f'out={str(folder)!r} holds another run ({", ".join(found)}); '
            'give another folder, or resume=True (--resume) to go on with '
            'that one as its config says'
        )


def _require_outside(folder: Path, data: OwnData) -> None:
    if data.root == folder or data.root in folder.parents:
        raise DataError(
            f'out={str(folder)!r} lies inside of the images, and would be '
            f'taken for a class the next time; give a folder outside of '
            f'{str(data.root)!r}'
        )


def _check_models(
    method: Method, student: str | dict, teacher: str | dict | None
) -> None:
    """Raise ValueError where method and models do not fit."""
    name = student if isinstance(student, str) else student.get('type')
    if not is_model_name(name):
        raise ValueError(
            f'student={name!r} names no model; give LIBRARY/NAME, such as '
            "'timm/resnet18' (`mmdistill list models`), or a checkpoint file"
        )
    model_info(name)  # near names
    if method.kind == 'self':
        raise ValueError(
            f'method={method.name!r} is taught by {KINDS["self"]}, which '
            'takes a config of its own (configs/ssl_digits is the smallest); '
            'methods with a frozen teacher that need no labels: '
            + names_where(lambda m: m.is_label_free and m.kind == 'teacher')
        )
    if method.compares_heads and not method.is_label_free:
        raise ValueError(
            f'method={method.name!r} compares what projection heads give, '
            'which models by name do not have; start from '
            'configs/infonce, or take one of: '
            + names_where(lambda m: m.is_label_free)
        )
    if teacher is None and method.has_teacher:
        raise ValueError(
            f'method={method.name!r} needs a teacher: give one by name or by '
            "file, or method='task' for the student alone"
        )
    if teacher is not None and not method.has_teacher:
        raise ValueError(
            f'method={method.name!r} has no frozen teacher (its teacher is '
            f'{KINDS[method.kind]}); leave teacher out'
        )


def _check_labels(method: Method, data: OwnData) -> None:
    if data.classes is None and method.needs_labels:
        raise DataError(
            f'method={method.name!r} needs labels, and {str(data.root)!r} has '
            'none; methods that do without: '
            + names_where(lambda m: m.kind == 'teacher' and not m.needs_labels)
        )


def _with_classes(
    student: str | dict,
    teacher: str | dict | None,
    data: OwnData,
    method: Method,
) -> dict:
    """The student's config, with the classes that are to be told apart."""
    student = dict(type=student) if isinstance(student, str) else {**student}
    if method.compares_scores and data.classes is None:
        # It learns the teacher's answers, whatever they are about.
        given = teacher if isinstance(teacher, dict) else dict(type=teacher)
        known = model_info(given['type']).num_classes
        student.setdefault('num_classes', given.get('num_classes', known))
    elif data.classes is None or method.is_label_free:
        student['num_classes'] = 0
    else:
        student['num_classes'] = len(data.classes)
    return student


def _trained_teacher(
    data: Any,
    teacher: Any,
    folder: Path,
    val: Any,
    val_share: float,
    seed: int,
    flip: bool,
    numbers: Mapping[str, Any],
) -> str:
    """Train the teacher on the data, or go on with it; its file."""
    print(f'the teacher {teacher} is trained on the data first')
    made = run(
        data, teacher, None, 'task', folder / 'teacher', True, False, None,
        None, val, None, val_share, seed, flip, **numbers,
    )  # fmt: skip
    return str(made.student)


def _result(folder: Path, student: str | dict, export: str | None) -> Result:
    best = folder / 'student_best.pth'
    accuracy = None
    if best.is_file():
        accuracy = load_file(str(best))['meta'].get('score')
    path = best if best.is_file() else folder / 'student.pth'
    exported = None
    if export is not None:
        kind = EXPORT_FORMATS.get(export)
        suffix = (*kind.suffixes, '.pth')[0]
        exported = folder / f'student_{export.replace("-", "_")}{suffix}'
        name = student if isinstance(student, str) else student['type']
        library, _, arch = name.partition('/')
        wanted = dict(arch=arch) if library == export else {}
        if export in ('onnx', 'torch-export'):
            wanted = dict(with_preprocessing=True)
        options = ExportOptions(**wanted)
        export_student(str(path), str(exported), export, options)
    report = folder / 'report.html'
    return Result(
        path,
        accuracy,
        folder / CONFIG,
        report if report.is_file() else None,
        exported,
    )
