"""Every part that a config names, and the registry that its place implies."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.registry import FUNCTIONS, Registry
from mmpretrain.models import ImageClassifier

from mmdistill import registry as ours
from mmdistill.engine.doctor.named_types import names_a_model, registered
from mmdistill.engine.hook_keys import type_of_key
from mmdistill.models.dense.dense_model import DenseModel
from mmdistill.models.distillers import BaseDistiller

#: What a config may say of any loss, in place of its class.
LOSS_CHOICES = frozenset({'level', 'maps', 'target'})
#: Settings of models that are always built from the registry of models;
#: others may be something else, in spite of a type.
_OF_MODELS = {
    'backbone',
    'feature_classifier',
    'head',
    'loss',
    'model',
    'module',
    'neck',
    'predictor',
    'prototypes',
    'student',
    'teacher',
}
#: Those that need no type.
_DEFAULTS = {'clustering': 'SwappedPredictionLoss'}
#: Transforms whose ``*transforms`` are of the registry, too, not of another
#: library's.
_WRAPPERS = {
    'KeyMapper',
    'MultiCrop',
    'MultiView',
    'RandomApply',
    'RandomChoice',
    'SharedTransforms',
    'TeacherView',
    'TestTimeAug',
    'TransformBroadcaster',
}
#: Keys below which another registry is asked, wherever they are.
_BELOW = {
    'augments': ours.BATCH_AUGMENTS,
    'dataset': ours.DATASETS,
    'datasets': ours.DATASETS,
    'init_cfg': ours.WEIGHT_INITIALIZERS,
    'pipeline': ours.TRANSFORMS,
}


@dataclass(frozen=True)
class Part:
    """A part of a config that something is built from.

    Attributes:
        key: its path in the config.
        cfg: its settings.
        registry: where its type is looked up.
        default: its type if it names none; None if it has to.
        further: arguments that are taken before it is built.
    """

    key: str
    cfg: Mapping[str, Any]
    registry: Registry
    default: Any = None
    further: frozenset[str] = frozenset()

    @property
    def kind(self) -> Any:
        """The type: a name, or a class."""
        return self.cfg.get('type', self.default)


def parts(cfg: Mapping[str, Any]) -> Iterator[Part]:
    """Every part of a config, from the top."""
    for key in ('model', 'tta_model'):
        yield from _within(key, cfg.get(key), ours.MODELS)
    yield from _preprocessor(
        'data_preprocessor', cfg.get('data_preprocessor'), cfg.get('model')
    )
    for name in ('train', 'val', 'test'):
        key = f'{name}_dataloader'
        yield from _dataloader(key, cfg.get(key))
        yield from _loop(name, cfg.get(f'{name}_cfg'))
    for name in ('val_evaluator', 'test_evaluator'):
        yield from _evaluator(name, cfg.get(name))
    tta = cfg.get('tta_pipeline')
    yield from _within('tta_pipeline', tta, ours.TRANSFORMS)
    yield from _optimizer(cfg.get('optim_wrapper'))
    yield from _schedulers('param_scheduler', cfg.get('param_scheduler'))
    hooks = cfg.get('default_hooks') or {}
    for name, hook in hooks.items():
        key = f'default_hooks.{name}'
        yield from _hook(key, hook, type_of_key(name))
    for i, hook in enumerate(cfg.get('custom_hooks') or ()):
        yield from _hook(f'custom_hooks.{i}', hook)
    yield from _single('visualizer', cfg, ours.VISUALIZERS, 'Visualizer')
    backends = (cfg.get('visualizer') or {}).get('vis_backends')
    key = 'visualizer.vis_backends'
    yield from _within(key, backends, ours.VISBACKENDS)
    yield from _single(
        'log_processor', cfg, ours.LOG_PROCESSORS, 'LogProcessor'
    )


def _within(key: str, value: Any, registry: Registry) -> Iterator[Part]:
    """The parts in a value that lies where ``registry`` is asked."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _within(f'{key}.{i}', item, registry)
    elif isinstance(value, Mapping):
        yield Part(key, value, registry)
        yield from _inside(key, value, registry)


def _inside(
    key: str, value: Mapping[str, Any], registry: Registry
) -> Iterator[Part]:
    """The parts among the settings of a part."""
    is_model = registry is ours.MODELS
    for name, item in value.items():
        below = f'{key}.{name}'
        if name == 'bank_dataloader':
            yield from _dataloader(below, item)
        elif is_model and name.endswith('preprocessor'):
            yield from _preprocessor(below, item, value)
        elif is_model and name == 'losses':
            yield from _losses(below, item)
        elif is_model and name == 'teachers':
            for teacher, entry in (item or {}).items():
                if isinstance(entry, Mapping):
                    here = f'{below}.{teacher}'
                    yield from _inside(here, entry, registry)
        elif is_model and name == 'train_cfg' and isinstance(item, Mapping):
            yield from _inside(below, item, registry)
        elif is_model and name in _DEFAULTS and isinstance(item, Mapping):
            yield Part(below, item, registry, _DEFAULTS[name])
        elif name in _BELOW:
            yield from _within(below, item, _BELOW[name])
        elif (is_model and name in _OF_MODELS) or (
            registry is ours.TRANSFORMS
            and name.endswith('transforms')
            and str(value.get('type')).rpartition('.')[2] in _WRAPPERS
        ):
            yield from _within(below, item, registry)


def _losses(key: str, losses: Any) -> Iterator[Part]:
    if not isinstance(losses, Mapping):
        return
    for name, loss in losses.items():
        if isinstance(loss, Mapping):
            here = f'{key}.{name}'
            yield Part(here, loss, ours.MODELS, further=LOSS_CHOICES)
            yield from _inside(here, loss, ours.MODELS)


def _preprocessor(key: str, value: Any, owner: Any) -> Iterator[Part]:
    """One of images, whose type may be left to the model that owns it."""
    if not isinstance(value, Mapping):
        return
    default = None
    if 'type' not in value:
        # That of a teacher is an entry's of `teachers`, or a distiller's.
        is_entry = 'model' in owner and 'type' not in owner
        default = (
            'ClsDataPreprocessor' if is_entry else _preprocessor_of(owner)
        )
        if default is None:
            return
    yield Part(key, value, ours.MODELS, default)
    yield from _inside(key, value, ours.MODELS)


def _preprocessor_of(owner: Any) -> str | None:
    """Which one a model builds by itself; None if that is not known."""
    kind = owner.get('type') if isinstance(owner, Mapping) else None
    if names_a_model(kind):
        return 'ClsDataPreprocessor'
    cls = registered(ours.MODELS, kind)
    if not inspect.isclass(cls):
        return None
    if issubclass(cls, DenseModel):
        return 'DetectionPreprocessor'
    if issubclass(cls, (BaseDistiller, ImageClassifier)):
        return 'ClsDataPreprocessor'
    return None


def _dataloader(key: str, loader: Any) -> Iterator[Part]:
    if not isinstance(loader, Mapping):
        return
    yield from _within(f'{key}.dataset', loader.get('dataset'), ours.DATASETS)
    for name in ('sampler', 'batch_sampler'):
        value = loader.get(name)
        yield from _within(f'{key}.{name}', value, ours.DATA_SAMPLERS)
    for name in ('collate_fn', 'worker_init_fn'):
        value = loader.get(name)
        if isinstance(value, Mapping):
            yield Part(f'{key}.{name}', value, FUNCTIONS)


def _loop(name: str, value: Any) -> Iterator[Part]:
    if not isinstance(value, Mapping):
        return
    default = {'val': 'ValLoop', 'test': 'TestLoop'}.get(name)
    if name == 'train':
        by_epoch = value.get('by_epoch', True)
        default = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
    key = f'{name}_cfg'
    further = frozenset() if 'type' in value else frozenset({'by_epoch'})
    yield Part(key, value, ours.LOOPS, default, further)
    yield from _dataloader(
        f'{key}.bank_dataloader', value.get('bank_dataloader')
    )


def _evaluator(key: str, value: Any) -> Iterator[Part]:
    if isinstance(value, Mapping) and 'metrics' in value:
        yield Part(key, value, ours.EVALUATORS, 'Evaluator')
        key, value = f'{key}.metrics', value['metrics']
    for i, metric in enumerate(value if isinstance(value, list) else [value]):
        if isinstance(metric, Mapping):
            here = f'{key}.{i}' if isinstance(value, list) else key
            yield Part(here, metric, ours.METRICS)


def _optimizer(value: Any) -> Iterator[Part]:
    if not isinstance(value, Mapping):
        return
    if 'optimizer' in value or 'type' in value:
        yield Part(
            'optim_wrapper',
            value,
            ours.OPTIM_WRAPPERS,
            'OptimWrapper',
            frozenset({'constructor', 'paramwise_cfg'}),
        )
        optimizer = value.get('optimizer')
        if isinstance(optimizer, Mapping):
            key = 'optim_wrapper.optimizer'
            yield Part(key, optimizer, ours.OPTIMIZERS)


def _schedulers(key: str, value: Any) -> Iterator[Part]:
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _schedulers(f'{key}.{i}', item)
    elif isinstance(value, Mapping) and not any(
        isinstance(item, (Mapping, list)) and 'type' not in value
        for item in value.values()
    ):
        further = frozenset({'convert_to_iter_based'})
        yield Part(key, value, ours.PARAM_SCHEDULERS, further=further)
    elif isinstance(value, Mapping):  # of several optimizers, by their names
        for name, item in value.items():
            yield from _schedulers(f'{key}.{name}', item)


def _hook(key: str, hook: Any, default: Any = None) -> Iterator[Part]:
    # Without a type and with an unknown key it is the key that is wrong.
    if not isinstance(hook, Mapping):
        return
    is_known = 'type' in hook or default is not None
    if is_known or key.startswith('custom_hooks'):
        further = frozenset({'priority'})
        yield Part(key, hook, ours.HOOKS, default, further)
        for name in ('bank_dataloader', 'val_dataloader'):
            yield from _dataloader(f'{key}.{name}', hook.get(name))


def _single(
    key: str, cfg: Mapping[str, Any], registry: Registry, default: str
) -> Iterator[Part]:
    value = cfg.get(key)
    if isinstance(value, Mapping):
        yield Part(key, value, registry, default)
