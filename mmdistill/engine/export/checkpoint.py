from __future__ import annotations

import copy
import inspect

import mmengine
from mmengine.config import Config
from mmpretrain.models import ClsDataPreprocessor
from torch import nn

from mmdistill.registry import MODELS


def student_checkpoint(model: nn.Module, cfg: Config) -> dict:
    """The student of a distiller as a classifier checkpoint of its own.

    Args:
        model: a distiller, or a plain classifier, which is its own student.
        cfg: the training config, for the test pipeline.
    Returns:
        ``state_dict`` on the CPU, and ``meta`` with ``cfg``: the text of a
        config that builds the student and its test pipeline. Its default
        scope is ``mmpretrain`` where MMPretrain alone can build it.
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
    student_cfg = copy.deepcopy(student_cfg)
    if student_cfg.get('data_preprocessor'):
        student_cfg['data_preprocessor'] = _deployed(
            student_cfg['data_preprocessor']
        )
    exported = dict(model=student_cfg, default_scope=_scope(student))
    if cfg.get('custom_imports'):
        exported['custom_imports'] = cfg.custom_imports
    if cfg.get('test_dataloader'):
        pipeline = cfg.test_dataloader.dataset.get('pipeline', [])
        exported['test_dataloader'] = dict(dataset=dict(pipeline=pipeline))
    state = {
        name: value.detach().cpu().clone()
        for name, value in student.state_dict().items()
    }
    meta = dict(
        cfg=Config(exported).pretty_text, mmengine_version=mmengine.__version__
    )
    return dict(meta=meta, state_dict=state)


def _deployed(cfg: dict) -> dict:
    """A preprocessor that only in training is more than its base class."""
    kind = MODELS.get(cfg.get('type', 'ClsDataPreprocessor'))
    if kind is None or not issubclass(kind, ClsDataPreprocessor):
        return cfg
    known = inspect.signature(ClsDataPreprocessor.__init__).parameters
    plain = {key: value for key, value in cfg.items() if key in known}
    return dict(type='ClsDataPreprocessor', **plain)


def _scope(student: nn.Module) -> str:
    """'mmpretrain' unless some part of the student comes from elsewhere."""
    known = ('torch', 'mmengine', 'mmcv', 'mmpretrain')
    rooms = {
        type(module).__module__.split('.')[0]
        for name, module in student.named_modules()
        if name != 'data_preprocessor'
    }
    return 'mmpretrain' if rooms <= set(known) else 'mmdistill'
