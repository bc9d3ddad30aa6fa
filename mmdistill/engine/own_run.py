"""A run on one's own images: its config, written as a user would write it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from mmdistill.datasets.image_scan import Images, scan_images
from mmdistill.engine.config_files import read_config
from mmdistill.engine.own_methods import (
    TASK,
    Method,
    MethodError,
    list_methods,
    load_method,
)
from mmdistill.engine.recipe import Recipe, choose, schedule
from mmdistill.models.distillers.endpoint import Endpoint
from mmdistill.models.representation import RepresentationReader
from mmdistill.models.zoo import (
    ModelInfo,
    get_model,
    model_info,
    resolve_model,
)
from mmdistill.models.zoo.from_file import is_file_name

#: Losses that compare with the teacher's own rows, and so need its width.
_SAME_WIDTH = ('SEEDLoss', 'CompRessLoss')
_CONFIG = 'config.py'


class OutError(ValueError):
    """A folder that cannot take the run."""


@dataclass
class OwnRun:
    """A run that was decided on.

    Attributes:
        config: path of its config.
        work_dir: its folder.
        images: what was found.
        recipe: its numbers.
        notes: what else was decided, a line each.
    """

    config: str
    work_dir: str
    images: Images
    recipe: Recipe
    notes: list[str]

    def summary(self) -> str:
        """What is printed before training."""
        notes = ''.join(f'\n  {note}' for note in self.notes)
        return (
            f'{self.images.summary()}\n{self.recipe.summary()}{notes}\n'
            f'The config is {self.config}.'
        )


def prepare_run(
    data: str | os.PathLike,
    student: str,
    teacher: str | None,
    method: str,
    out: str | os.PathLike,
    val: str | os.PathLike | None = None,
    teacher_ckpt: str | None = None,
    pretrained: bool = False,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    command: str = '',
    **numbers: Any,
) -> OwnRun:
    """Look at images and models, choose the numbers, and write a config.

    Args:
        data, val: see `scan_images`.
        student, teacher: names of models, see `resolve_model`.
        method: see `load_method`.
        out: the run's folder, which gets ``config.py`` and the lists of
            images.
        teacher_ckpt: the teacher's weights, if not those that come with it.
        pretrained: start the student from its library's published weights.
        options: settings of the config that have other values, by path, such
            as ``{'model.losses.kd.temperature': 2}``.
        seed: of the run, and of the split of the images.
        command: how the run was asked for, for the config's first line.
        numbers: see `choose`.
    Raises:
        MethodError: for a method that does not fit the images or the teacher.
        OutError: if ``out`` holds another run.
        DataError, FileNotFoundError: see `scan_images`.
        ModelNameError: see `resolve_model`.
    """
    chosen = load_method(method)
    student_info = model_info(student)
    teacher_info = None if teacher is None else model_info(teacher)
    images = scan_images(data, val, seed)
    _check_fit(chosen, images, teacher)
    classes = len(images.classes)
    network = get_model(student, num_classes=classes)
    recipe = choose(
        len(images.train),
        images.side,
        network,
        student_info.size[0],
        not student_info.is_fixed or _can_be_built_for(student),
        **numbers,
    )
    notes: list[str] = []
    size = recipe.size
    if images.classes:
        model = _classifier(student, student_info, classes, size, pretrained)
    else:
        model = _encoder(student, chosen, teacher, network, size, pretrained)
    settings: dict[str, Any] = model
    if chosen.needs_teacher:
        assert teacher is not None and teacher_info is not None
        settings = dict(
            type=chosen.kind,
            student=model,
            teacher=teacher if images.classes else _as_encoder(teacher),
            input_size=(3, size, size),
        )
        if teacher_ckpt is not None:
            settings['teacher_ckpt'] = str(Path(teacher_ckpt).resolve())
        if is_file_name(teacher):
            settings['teacher'] = str(Path(teacher).resolve())
        if chosen.compares_scores:
            settings.update(_classes(chosen, images, teacher, teacher_info))
    changes: dict[str, Any] = {}
    for path, (was, now) in chosen.capped(
        len(images.train), recipe.batch_size
    ).items():
        changes[f'model.{path}'] = now
        notes.append(f'{path} is {now}, not {was}: so few images there are')
    if not images.classes:
        for name, cfg in chosen.losses.items():
            if cfg.get('level') != 'feature':
                changes[f'model.losses.{name}.level'] = 'feature'
    changes.update(options or {})
    text = _text(
        chosen, images, recipe, settings, changes, Path(out), seed, command
    )
    config = _write(Path(out), text, images)
    return OwnRun(config, str(out), images, recipe, notes)


# What fits -------------------------------------------------------------------
def _check_fit(method: Method, images: Images, teacher: str | None) -> None:
    if method.needs_teacher and teacher is None:
        raise MethodError(
            f'the method {method.name!r} needs a teacher; give its name or '
            f'its file, or choose the method {TASK!r} for the student alone'
        )
    if not images.classes and method.needs_labels:
        raise MethodError(
            f'the images in {images.root} have no labels, which the method '
            f'{method.name!r} needs. Put them into a folder for each class, '
            'or choose a method without labels: '
            + ', '.join(list_methods(labels=False))
        )
    if images.classes and not method.needs_labels:
        raise MethodError(
            f'the method {method.name!r} takes no labels, which the images '
            f'in {images.root} have. Choose one of: '
            f'{", ".join([TASK, *_with_labels()])}; or give the images in one '
            'folder'
        )
    if images.classes and not images.val:
        raise MethodError(
            f'no image of {images.root} is left for validation: every class '
            'has one image; add some'
        )


def _with_labels(scores: bool = True) -> list[str]:
    """Methods that learn from labels and a teacher."""
    without = list_methods(labels=False)
    return [
        name
        for name in list_methods(scores=scores)
        if name not in (TASK, *without)
    ]


def _can_be_built_for(student: str) -> bool:
    """Whether a network can be built for other sizes than its own."""
    return not is_file_name(student) and student.partition('/')[0] in (
        'timm',
        'torchvision',
        'hf',
    )


def _classes(
    method: Method, images: Images, teacher: str, info: ModelInfo
) -> dict[str, Any]:
    """Which of the teacher's classes the images have.

    Raises:
        MethodError: if they are others.
    """
    names, count = info.classes, len(images.classes)
    if names is None:
        if info.num_classes in (None, count):
            return {}
    elif tuple(names) == images.classes:
        return {}
    else:
        places = {_plain(name): i for i, name in enumerate(names)}
        found = [places.get(_plain(name)) for name in images.classes]
        if None not in found:
            return dict(teacher_classes=found)
    known = 'whose names are not known' if names is None else 'others'
    raise MethodError(
        f'the method {method.name!r} compares class scores, but {teacher} '
        f'has {info.num_classes} classes, {known} than the {count} of the '
        'images. First train it on them,\n'
        f'  mmdistill distill DATA --student {teacher} --pretrained '
        f'--method {TASK} --out TEACHER\n'
        'and give TEACHER/student.pth as the teacher; or choose a method that '
        f'compares no scores: {", ".join(_with_labels(scores=False))}'
    )


def _plain(name: str) -> str:
    return name.lower().replace('_', ' ').replace('-', ' ').strip()


# Models ----------------------------------------------------------------------
def _classifier(
    student: str, info: ModelInfo, classes: int, size: int, pretrained: bool
) -> dict[str, Any]:
    name = str(Path(student).resolve()) if is_file_name(student) else student
    model: dict[str, Any] = dict(type=name, num_classes=classes)
    if pretrained:
        model['pretrained'] = True
    if info.is_fixed and size != info.size[0]:
        model['input_size'] = (3, size, size)
    return model


def _encoder(
    student: str,
    method: Method,
    teacher: str | None,
    network: nn.Module,
    size: int,
    pretrained: bool,
) -> dict[str, Any]:
    """A student without labels: a backbone, mapped to the teacher's width."""
    assert teacher is not None
    cfg = resolve_model(student, num_classes=0)
    images = cfg.pop('data_preprocessor')
    if cfg['type'] == 'NetworkClassifier':
        backbone = dict(type='NetworkBackbone', network=student)
        if pretrained:
            backbone['pretrained'] = True
        if size != model_info(student).size[0]:
            backbone['input_size'] = (3, size, size)
        encoder = dict(type='SelfSupervisedEncoder', backbone=backbone)
    else:
        encoder = dict(
            type='SelfSupervisedEncoder',
            backbone=cfg['backbone'],
            neck=cfg.get('neck'),
        )
    encoder['data_preprocessor'] = images
    if any(cfg.get('type') in _SAME_WIDTH for cfg in method.losses.values()):
        own = _width(network, size)
        other = _width(get_model(teacher), model_info(teacher).size[0])
        if own != other:
            if encoder.get('neck') is not None:
                raise MethodError(
                    f'the method {method.name!r} needs a student of the '
                    f"teacher's width, {other}; {student} has {own}. Take "
                    'one of timm, torchvision or hf, which is mapped to it'
                )
            encoder['neck'] = dict(
                type='LinearNeck',
                in_channels=own,
                out_channels=other,
                norm_cfg=None,
            )
    return encoder


def _as_encoder(teacher: str) -> dict[str, Any] | str:
    """A teacher whose feature is asked for alone, not its classifier's."""
    return str(Path(teacher).resolve()) if is_file_name(teacher) else teacher


def _width(network: nn.Module, size: int) -> int:
    end = Endpoint(
        'student', RepresentationReader(network), (3, size, size), False
    )
    width = end.width('feature')
    if width is None:
        raise MethodError(
            f'{type(network).__name__} gives no feature; choose another model'
        )
    return width


# The config ------------------------------------------------------------------
def _text(
    method: Method,
    images: Images,
    recipe: Recipe,
    model: dict[str, Any],
    changes: Mapping[str, Any],
    out: Path,
    seed: int,
    command: str,
) -> str:
    bases = ['mmdistill::_base_/runtime.py']
    if method.needs_teacher:
        bases.insert(0, f'mmdistill::_base_/methods/{method.name}.py')
    lines = [
        f'# {command}' if command else '# Written by mmdistill.distill.',
        *(f'# {line}' for line in images.summary().splitlines()),
        f'_base_ = {_shown(bases)}',
        'from mmdistill.datasets.own_images import (',
        '    image_loader,',
        '    test_pipeline,',
        '    train_pipeline,',
        ')',
        '',
        f'data_root = {str(images.root)!r}',
        f'classes = {_shown(list(images.classes))}',
        f'size = {recipe.size}',
        '',
    ]
    if method.needs_teacher:
        keys = [k for k in method.settings if k in ('student', 'teacher')]
        lines += [
            f'method = {{k: v for k, v in _base_.method.items() if k not in '
            f'{keys!r}}}'
            if keys
            else 'method = _base_.method',
            f'model = dict(**{{**method, **{_shown(model)}}})',
        ]
        if not images.classes:
            lines.append("model['task_weight'] = 0.0")
    else:
        lines.append(f'model = {_shown(model)}')
    lines += [
        '',
        'train_dataloader = image_loader(',
        f'    data_root, {str(_list(out, "train"))!r},',
        f'    train_pipeline(size, views={method.views}), classes,',
        f'    batch_size={recipe.batch_size}, num_workers={recipe.workers},',
        '    shuffle=True,',
        ')',
    ]
    if images.classes:
        lines += [
            'val_dataloader = image_loader(',
            f'    data_root, {str(_list(out, "val"))!r},',
            '    test_pipeline(size), classes,',
            f'    batch_size={recipe.batch_size}, '
            f'num_workers={recipe.workers},',
            ')',
            'val_evaluator = dict(type="Accuracy", topk=(1,))',
            'val_cfg = dict()',
            'test_dataloader, test_evaluator = val_dataloader, val_evaluator',
            'test_cfg = dict()',
        ]
    else:
        lines += [
            'test_dataloader = image_loader(',
            f'    data_root, {str(_list(out, "train"))!r},',
            f'    test_pipeline(size), batch_size={recipe.batch_size},',
            ')',
            'test_evaluator = []',
            'test_cfg = dict()',
        ]
    if method.warmup():
        warmup = max(1, recipe.epochs // 8)
        train_cfg = dict(
            type='TwoPhaseTrainLoop',
            warmup_epochs=warmup,
            max_epochs=recipe.epochs,
            val_interval=_interval(recipe),
        )
    else:
        train_cfg = dict(
            by_epoch=True,
            max_epochs=recipe.epochs,
            val_interval=_interval(recipe),
        )
    lines += ['', f'train_cfg = {_shown(train_cfg)}']
    for key, value in schedule(recipe, len(images.train)).items():
        lines.append(f'{key} = {_shown(value)}')
    steps = max(1, len(images.train) // recipe.batch_size)
    hooks: dict[str, Any] = dict(logger=dict(interval=min(50, steps)))
    if not images.classes:
        hooks.update(
            checkpoint=dict(save_best=None),
            teacher_check=None,
        )
    lines += [
        f'default_hooks = {_shown(hooks)}'
        if not method.hooks
        else f'default_hooks = dict(**_base_.method_hooks, **{_shown(hooks)})',
        f'randomness = dict(seed={seed})',
        f'work_dir = {str(out)!r}',
        '',
    ]
    text = '\n'.join(lines)
    return text + _changed(changes)


def _changed(changes: Mapping[str, Any]) -> str:
    """Lines that set settings by their path."""
    lines = []
    for path, value in changes.items():
        first, *rest = path.split('.')
        keys = ''.join(
            f'[{key}]' if key.isdigit() else f'[{key!r}]' for key in rest
        )
        lines.append(f'{first}{keys} = {_shown(value)}')
    return '\n'.join(lines) + '\n' if lines else ''


def _interval(recipe: Recipe) -> int:
    """Epochs between validations: about twenty of a run."""
    return max(1, recipe.epochs // 20)


def _shown(value: Any) -> str:
    """A value as a config has it: ``dict(type=...)``."""
    text = Config(dict(x=value)).pretty_text
    return text.partition('=')[2].strip()


def _list(out: Path, split: str) -> Path:
    return out.resolve() / f'{split}.txt'


def _write(out: Path, text: str, images: Images) -> str:
    """Write config and lists; read the config, to see that it is one.

    Raises:
        OutError: if the folder holds another run.
    """
    path = out / _CONFIG
    if path.is_file() and path.read_text('utf-8') != text:
        raise OutError(
            f'{str(out)!r} holds another run ({path}); give another folder '
            'as out, or to go on with that run: mmdistill train '
            f'{path} --resume'
        )
    if out.is_dir() and not path.is_file() and any(out.glob('*.pth')):
        raise OutError(
            f'{str(out)!r} holds another run, whose checkpoints it would '
            'mix with; give another folder as out'
        )
    out.mkdir(parents=True, exist_ok=True)
    for split, rows in (('train', images.train), ('val', images.val)):
        _list(out, split).write_text(
            _lines(rows, bool(images.classes)), 'utf-8'
        )
    path.write_text(text, 'utf-8')
    read_config(str(path))
    return str(path)


def _lines(rows: Sequence[tuple[str, int]], labeled: bool) -> str:
    return ''.join(
        f'{path} {label}\n' if labeled else f'{path}\n' for path, label in rows
    )
