"""Models from checkpoint files of ours, which hold their own config."""

from __future__ import annotations

import os
from typing import Any

from mmengine.config import Config

from mmdistill.checkpoints import (
    CheckpointError,
    classes_of,
    load_file,
    state_dict_of,
)
from mmdistill.checkpoints.config_text import config_from_text
from mmdistill.models.zoo.config_safety import require_harmless
from mmdistill.models.zoo.library import ModelInfo, ModelNameError
from mmdistill.utils.pipelines import sees_bgr

_SUFFIXES = ('.pth', '.pt')


def is_file_name(name: str) -> bool:
    """Whether a name is that of a checkpoint file, by its suffix."""
    return name.endswith(_SUFFIXES)


def config_of_file(path: str, **options: Any) -> dict[str, Any]:
    """The config of the student in a file, which takes its weights from it.

    Args:
        path: an exported student or a full checkpoint.
        options: ``num_classes`` other than the file's: the classifier is new
            then; and settings laid over the config.
    Raises:
        FileNotFoundError, CheckpointError: if there is no such file, or it
            has no config of a classifier or an encoder.
    """
    _, _, cfg = _read(path)
    model = cfg.model.to_dict()
    model = model.get('student', model)
    options.pop('pretrained', None)
    classes = options.pop('num_classes', None)
    part = model.get('head') or {}
    if model.get('type', '').endswith('NetworkClassifier'):
        model['pretrained'] = False
        part = model
    is_other = classes is not None and part.get('num_classes') != classes
    if classes == 0:
        model.pop('head', None)
    elif is_other:
        if 'num_classes' not in part:
            raise ModelNameError(
                f'the model in {path!r} has no classifier whose number of '
                f'classes could be {classes}; leave num_classes out'
            )
        part['num_classes'] = classes
    model['init_cfg'] = dict(
        type='Pretrained', checkpoint=path, partial=is_other
    )
    return {**model, **options}


def info_of_file(path: str) -> ModelInfo:
    """What a file says of its model's images and classes."""
    checkpoint, meta, cfg = _read(path)
    model = cfg.model.get('student', cfg.model)
    images = model.get('data_preprocessor') or cfg.get('data_preprocessor')
    images = images or {}
    settings: dict[str, Any] = {}
    if images.get('mean') is not None:
        settings = dict(mean=tuple(images.mean), std=tuple(images.std))
    else:  # it takes images of 0 to 255
        channels = _channels(checkpoint, path)
        settings = dict(mean=(0.0,) * channels, std=(1.0,) * channels)
    if meta.get('input_size'):
        settings['size'] = tuple(meta['input_size'])
    head = model.get('head') or {}
    classes = classes_of(meta)
    return ModelInfo(
        crop=1.0,
        num_classes=model.get('num_classes', head.get('num_classes'))
        or (len(classes) if classes else 0),
        classes=classes,
        to_rgb=bool(images.get('to_rgb')),
        is_bgr=sees_bgr(
            Config({**cfg, 'model': dict(data_preprocessor=images)})
        ),
        **settings,
    )


def _channels(checkpoint: Any, path: str) -> int:
    """Channels of the images: what the first convolution takes."""
    state = state_dict_of(checkpoint, path)
    own = [w for k, w in state.items() if k.startswith('student.')]
    weights = own or state.values()
    return next((w.shape[1] for w in weights if w.ndim == 4), 3)


def _read(path: str) -> tuple[Any, dict, Config]:
    """What is in a file: all of it, its ``meta`` and its config."""
    if not os.path.isfile(os.path.expanduser(path)):
        raise FileNotFoundError(
            f'the checkpoint {path!r} does not exist; the current folder is '
            f'{os.getcwd()!r}'
        )
    checkpoint = load_file(os.path.expanduser(path))
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    text = (meta or {}).get('cfg')
    if not text:
        raise CheckpointError(
            f'{path!r} holds no config, so its network is not known: give '
            "the network by its library's name, and this file as "
            "teacher_ckpt, or in init_cfg=dict(type='Pretrained', "
            'checkpoint=...)'
        )
    cfg = config_from_text(text, path)
    require_harmless(cfg, path)
    return checkpoint, meta, cfg
