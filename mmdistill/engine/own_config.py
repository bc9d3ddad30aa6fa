"""The config that `mmdistill.distill` writes: short, ordinary, readable."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmdistill.datasets.own_data import OwnData
from mmdistill.engine.methods import Method
from mmdistill.engine.python_text import (
    Name,
    statement,
    subscripts,
    text_of,
)
from mmdistill.engine.recipe import WARMUP, Recipe

HERE = '{{ fileDirname }}'  # MMEngine's name of the config's folder
_NEIGHBORS = 20  # of k-NN, as papers without labels have it
_PEERS = 2  # networks that learn together: the fewest, hence the quickest
_LARGE = 128  # pixels from which test images are cropped, as ImageNet's


def config_text(
    method: Method,
    student: dict,
    teacher: str | dict | None,
    data: OwnData,
    recipe: Recipe,
    seed: int,
    flip: bool,
    options: Mapping[str, Any],
) -> str:
    """The text of a config for ``tools/train.py``.

    Args:
        method: which it is.
        student: its config; with ``num_classes``.
        teacher: its name or config, if the method has one.
        data: the images.
        recipe: the numbers.
        seed: of the run.
        flip: whether images are mirrored at random.
        options: further settings by path, as of ``--cfg-options``.
    """
    model = _model(method, student, teacher, data, recipe)
    settings = dict(
        train_pipeline=_train_pipeline(recipe.size, flip, method.views),
        test_pipeline=_test_pipeline(recipe.size),
        **_loaders(method, data, recipe),
        **_schedule(method, recipe),
        **_loops(method, data, recipe),
        default_hooks=_hooks(method, data),
        randomness=dict(seed=seed),
    )
    lines = [
        f'# Written by mmdistill.distill: {method.name}, '
        f'{len(data.train)} training images.',
        '# An ordinary config: change it, and run `mmdistill train` on it.',
        statement('_base_', _bases(method)),
        statement('work_dir', HERE),
    ]
    if data.classes is not None:
        lines += [statement('classes', list(data.classes))]
    in_model = {
        key.removeprefix('model.'): value
        for key, value in options.items()
        if key.startswith('model.')
    }
    others = {k: v for k, v in options.items() if not k.startswith('model.')}
    if method.cfg:
        text = text_of(model, 0).removeprefix('dict')
        lines += ['model = dict(**_base_.method)', f'model.update{text}']
    else:
        lines += [statement('model', model)]
    losses = {f'losses.{key}': value for key, value in recipe.losses.items()}
    for path, value in {**losses, **in_model}.items():
        lines.append(f'model{subscripts(path)} = {text_of(value, 0)}')
    for name in ('test_dataloader', 'test_evaluator'):
        if any(key.startswith(f'{name}.') for key in others):
            settings[name] = copy.deepcopy(settings[str(settings[name])])
    merged = Config(settings)
    merged.merge_from_dict(others)
    for key, value in merged.to_dict().items():
        lines.append(statement(key, value))
    return '\n'.join(lines) + '\n'


def metric_of(method: Method, data: OwnData) -> str | None:
    """The metric that says which student is best; None without labels."""
    if data.classes is None:
        return None
    if method.is_label_free:
        return f'knn/top1_k{_neighbors(data)}'
    return 'accuracy/top1'


def _bases(method: Method) -> list[str]:
    names = ['_base_/runtime.py']
    if method.cfg:
        names.insert(0, f'_base_/methods/{method.name}.py')
    return [f'mmdistill::{name}' for name in names]


def _model(
    method: Method,
    student: dict,
    teacher: str | dict | None,
    data: OwnData,
    recipe: Recipe,
) -> dict:
    if method.kind == 'alone':
        return student
    size = (3, recipe.size, recipe.size)
    scheme = method.settings.get('type', 'OfflineDistiller')
    model: dict[str, Any] = dict(type=scheme, student=student)
    if method.kind == 'peers':
        mode = 'branch' if method.shares_stages else 'network'
        model.update(type='OnlineDistiller', num_peers=_PEERS, mode=mode)
    if teacher is not None:
        model['teacher'] = teacher
    model['input_size'] = size
    if data.classes is None or method.is_label_free:
        model['task_weight'] = 0.0
    return model


def _train_pipeline(size: int, flip: bool, views: int) -> list[dict]:
    crop = dict(
        type='RandomResizedCrop',
        scale=size,
        crop_ratio_range=(0.5, 1.0),
        backend='pillow',
    )
    steps = [crop]
    if flip:
        steps.append(dict(type='RandomFlip', prob=0.5, direction='horizontal'))
    if views > 1:
        steps = [dict(type='MultiView', num_views=[views], transforms=[steps])]
    load = dict(type='LoadImageFromFile')
    return [load, *steps, dict(type='PackInputs')]


def _test_pipeline(size: int) -> list[dict]:
    edge = size if size < _LARGE else round(size / 0.875)
    return [
        dict(type='LoadImageFromFile'),
        dict(type='ResizeEdge', scale=edge, edge='short', backend='pillow'),
        dict(type='CenterCrop', crop_size=size),
        dict(type='PackInputs'),
    ]


def _dataset(data: OwnData, split: str, pipeline: str) -> dict:
    dataset = dict(
        type='OwnImages',
        data_root=str(data.root),
        ann_file=f'{HERE}/{split}.csv',
    )
    if data.classes is None:
        dataset['with_label'] = False
    else:
        dataset['metainfo'] = dict(classes=Name('classes'))
    return dict(dataset, pipeline=Name(pipeline))


def _loaders(method: Method, data: OwnData, recipe: Recipe) -> dict:
    train = dict(
        batch_size=recipe.batch_size,
        num_workers=recipe.workers,
        drop_last=len(data.train) > recipe.batch_size,
        dataset=_dataset(data, 'train', 'train_pipeline'),
        sampler=dict(type='DefaultSampler', shuffle=True),
    )
    if data.classes is None:
        return dict(train_dataloader=train)
    val = dict(
        batch_size=2 * recipe.batch_size,
        num_workers=recipe.workers,
        dataset=_dataset(data, 'val', 'test_pipeline'),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    evaluator: Any = dict(type='Accuracy', topk=_topk(data))
    if method.is_label_free:
        evaluator = []
    return dict(
        train_dataloader=train,
        val_dataloader=val,
        test_dataloader=Name('val_dataloader'),
        val_evaluator=evaluator,
        test_evaluator=Name('val_evaluator'),
    )


def _topk(data: OwnData) -> tuple[int, ...]:
    return (1, 5) if len(data.classes or ()) > 5 else (1,)


def _schedule(method: Method, recipe: Recipe) -> dict:
    warmup = max(1, round(WARMUP * recipe.epochs))
    cosine = dict(type='CosineAnnealingLR', convert_to_iter_based=True)
    schedulers = [dict(cosine, T_max=recipe.epochs, end=recipe.epochs)]
    if recipe.epochs > warmup:
        schedulers = [
            dict(
                type='LinearLR',
                start_factor=0.05,
                end=warmup,
                convert_to_iter_based=True,
            ),
            dict(
                cosine,
                begin=warmup,
                end=recipe.epochs,
                T_max=recipe.epochs - warmup,
            ),
        ]
    return dict(
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=recipe.lr, weight_decay=0.05),
            clip_grad=dict(max_norm=5.0),
        ),
        param_scheduler=schedulers,
    )


def _loops(method: Method, data: OwnData, recipe: Recipe) -> dict:
    train: dict[str, Any] = dict(by_epoch=True)
    if method.has_warmup:
        train = dict(
            type='TwoPhaseTrainLoop',
            warmup_epochs=max(1, recipe.epochs // 8),
        )
    train['max_epochs'] = recipe.epochs
    if data.classes is None:
        return dict(train_cfg=train)
    train['val_interval'] = max(1, recipe.epochs // 10)
    val, test = {}, {}
    if method.is_label_free:
        bank = dict(
            batch_size=2 * recipe.batch_size,
            num_workers=recipe.workers,
            dataset=_dataset(data, 'train', 'test_pipeline'),
        )
        knn = dict(
            bank_dataloader=bank, k=(_neighbors(data),), temperature=0.07
        )
        val = dict(type='KNNValLoop', **knn)
        test = dict(type='KNNTestLoop', **knn)
    return dict(train_cfg=train, val_cfg=val, test_cfg=test)


def _neighbors(data: OwnData) -> int:
    return min(_NEIGHBORS, len(data.train))


def _hooks(method: Method, data: OwnData) -> Any:
    metric = metric_of(method, data)
    hooks: dict[str, Any] = dict(checkpoint=dict(save_best=metric))
    hooks['logger'] = dict(interval=10)
    if metric not in (None, 'accuracy/top1'):
        hooks['export_student'] = dict(metric=metric)
    if not method.compares_scores:
        hooks['teacher_check'] = None  # its classes need not be these
    if method.hooks:
        return {'**': Name('_base_.method_hooks'), **hooks}
    return hooks
