from __future__ import annotations

import copy
import inspect
from typing import Any

import mmengine
from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry
from mmpretrain.models import ClsDataPreprocessor
from torch import nn

from mmdistill.models.zoo import resolve_model
from mmdistill.registry import MODELS, TRANSFORMS
from mmdistill.utils.pipelines import test_pipeline


def student_checkpoint(
    model: nn.Module,
    cfg: Config,
    input_size: tuple[int, int] | None = None,
) -> dict:
    """The student of a distiller as a classifier checkpoint of its own.

    Args:
        model: a distiller, or a plain classifier, which is its own student.
        cfg: the training config, for the test pipeline and for what it says
            of the preprocessor beside the model.
        input_size: (height, width) of the images that the network was
            validated on, if they all had one size; what the config says
            when None.
    Returns:
        ``state_dict`` on the CPU, and ``meta`` with ``cfg``: the text of a
        config that builds the student, its preprocessor and its test
        pipeline. Its default scope is ``mmpretrain`` where MMPretrain alone
        can build it; otherwise our own parts are named ``mmdistill.…``, which
        MMPretrain finds once mmdistill is imported. ``meta.input_size`` is
        there if the size is known.
    Raises:
        ValueError: if the distiller was not built from a config.
    """
    student = getattr(model, 'student', model)
    student_cfg = getattr(model, 'student_cfg', cfg.get('model'))
    if student_cfg is None:
        raise ValueError(
            'the student was given to the distiller as a built '
            'module; give model.student as a config, so that '
            'its export can be built again'
        )
    student_cfg = _by_config(student_cfg, cfg)
    preprocessor = _preprocessor(model, student_cfg, cfg)
    if preprocessor is None and 'train_dataloader' in cfg:
        preprocessor = {}  # a run that took images as they are
    student_cfg.pop('data_preprocessor', None)
    if preprocessor is not None:
        student_cfg['data_preprocessor'] = _deployed(preprocessor, student)
    exported = dict(
        model=_scoped(student_cfg, MODELS), default_scope=_scope(student)
    )
    if cfg.get('custom_imports'):
        exported['custom_imports'] = cfg.custom_imports
    pipeline = test_pipeline(cfg)
    if pipeline is not None:
        pipeline = _scoped(pipeline, TRANSFORMS)
        exported['test_dataloader'] = dict(dataset=dict(pipeline=pipeline))
    state = {
        name: value.detach().cpu().clone()
        for name, value in student.state_dict().items()
    }
    meta = dict(
        cfg=Config(exported).pretty_text, mmengine_version=mmengine.__version__
    )
    size = input_size or configured_size(cfg, student)
    if size is not None:
        meta['input_size'] = tuple(map(int, size))
    return dict(meta=meta, state_dict=state)


def _by_config(student_cfg: dict, cfg: Config) -> ConfigDict:
    """The student's config, also of one by name, without other files."""
    beside = {}
    if cfg.get('data_preprocessor') is not None:
        beside['data_preprocessor'] = cfg.data_preprocessor
    found = resolve_model(copy.deepcopy(student_cfg), **beside)
    if str(found['type']).endswith('NetworkClassifier'):
        found.pop('pretrained', None)
        found.pop('init_cfg', None)
    return ConfigDict(found)


def configured_size(cfg: Config, student: nn.Module) -> tuple[int, int] | None:
    """(height, width) that the distiller, backbone or pipeline names."""
    if 'input_size' in (cfg.get('model') or {}):
        return tuple(cfg.model.input_size[1:])
    size = getattr(getattr(student, 'backbone', None), 'img_size', None)
    for step in () if size else reversed(test_pipeline(cfg) or []):
        if step['type'] == 'CenterCrop':
            size = step['crop_size']
        elif step['type'] == 'Resize':
            size = step['scale']  # (width, height)
            size = size if isinstance(size, int) else size[::-1]
        if size:
            break
    return (size, size) if isinstance(size, int) else size and tuple(size)


def _preprocessor(
    model: nn.Module, student_cfg: dict, cfg: Config
) -> dict | None:
    """The preprocessor that the run had.

    MMEngine hands the one beside the model to a model that names none, in a
    copy of the config. A distiller has told its student.
    """
    if 'data_preprocessor' in student_cfg:
        return student_cfg['data_preprocessor']
    if hasattr(model, 'student'):
        return _described(model.data_preprocessor)
    return cfg.get('data_preprocessor')


def _described(built: nn.Module) -> dict | None:
    """Settings of a preprocessor that was given to a distiller as a module."""
    for inner in ('single', 'student'):  # of views, of two models
        built = getattr(built, inner, built)
    if not isinstance(built, ClsDataPreprocessor):
        return None
    cfg = dict(
        to_rgb=built.to_rgb,
        pad_size_divisor=built.pad_size_divisor,
        pad_value=built.pad_value,
    )
    if built._enable_normalize:
        cfg.update(
            mean=built.mean.flatten().tolist(),
            std=built.std.flatten().tolist(),
        )
    return cfg


def _deployed(cfg: dict, student: nn.Module) -> dict:
    """A preprocessor that only in training is more than its base class."""
    if not isinstance(student.data_preprocessor, ClsDataPreprocessor):
        return cfg
    known = inspect.signature(ClsDataPreprocessor.__init__).parameters
    plain = {key: value for key, value in cfg.items() if key in known}
    return dict(type='ClsDataPreprocessor', **plain)


def _scoped(value: Any, registry: Registry) -> Any:
    """A part of a config in which our types are found from MMPretrain."""
    if isinstance(value, dict):
        value = {key: _scoped(item, registry) for key, item in value.items()}
        if value.get('type') in registry.module_dict:
            value['type'] = f'mmdistill.{value["type"]}'
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_scoped(item, registry) for item in value)
    return value


def _scope(student: nn.Module) -> str:
    """'mmpretrain' unless some part of the student comes from elsewhere."""
    known = ('torch', 'mmengine', 'mmcv', 'mmpretrain')
    packages = {
        type(module).__module__.split('.')[0]
        for name, module in student.named_modules()
        if name != 'data_preprocessor'
    }
    return 'mmpretrain' if packages <= set(known) else 'mmdistill'
