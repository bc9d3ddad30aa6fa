from __future__ import annotations

import copy

import mmengine
from mmengine.config import Config
from torch import nn


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
    exported = dict(
        model=copy.deepcopy(student_cfg), default_scope=_scope(student)
    )
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


def _scope(student: nn.Module) -> str:
    """'mmpretrain' unless some part of the student comes from elsewhere."""
    known = ('torch', 'mmengine', 'mmcv', 'mmpretrain')
    rooms = {type(m).__module__.split('.')[0] for m in student.modules()}
    return 'mmpretrain' if rooms <= set(known) else 'mmdistill'
