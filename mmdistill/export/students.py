"""Students read from files."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmdistill.checkpoints import (
    CheckpointError,
    load_file,
    load_strictly,
    state_dict_of,
)
from mmdistill.checkpoints.config_text import config_from_text
from mmdistill.config import from_file
from mmdistill.export.student_checkpoint import student_checkpoint
from mmdistill.models.dense.dense_model import DenseModel
from mmdistill.models.distillers import BaseDistiller
from mmdistill.models.pretrained import weights_of
from mmdistill.models.zoo.config_safety import require_harmless
from mmdistill.registry import MODELS

# What an export keeps of the file that it comes from.
_KEPT = ('dataset_meta', 'epoch', 'iter', 'score')
_LARGEST = 2**14  # pixels of an image's side that a file may ask for


class ExportError(RuntimeError):
    """A student that cannot be exported so: why, and what to do instead."""


@dataclass(frozen=True)
class Student:
    """A student read from a file.

    Attributes:
        model: the student, in eval mode.
        checkpoint: what `student_checkpoint` makes of it.
        cfg: the config in the checkpoint.
        input_size: (height, width) of its images, or None if the file does
            not say.
        knows_preprocessing: whether the file, or the config given with it,
            says how images were normalized, or that they were not. Files that
            were written by earlier versions for plain classifiers do not.
    """

    model: nn.Module
    checkpoint: dict
    cfg: Config
    input_size: tuple[int, int] | None
    knows_preprocessing: bool = True

    @property
    def channels(self) -> int:
        """Channels of its images."""
        weights = self.model.backbone.parameters()
        return next(w for w in weights if w.ndim == 4).shape[1]

    def images(self, size: tuple[int, int], count: int = 2) -> Tensor:
        """Random images, always the same, of zero mean and unit variance."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(count, self.channels, *size, generator=generator)


def load_student(path: str, config: str | None = None) -> Student:
    """Read the student of a full checkpoint, an export or a classifier.

    Args:
        path: the checkpoint.
        config: config file of its training; by default the config that the
            checkpoint holds, which is read as data.
    Raises:
        FileNotFoundError: if a file is missing.
        CheckpointError: if the checkpoint has no config that can be used, or
            its tensors do not fit the config.
    """
    checkpoint = load_file(path)
    weights = state_dict_of(checkpoint, path)
    meta = checkpoint.get('meta') or {} if isinstance(checkpoint, dict) else {}
    cfg = _config(path, meta, config)
    if cfg.get('data_preprocessor') is not None:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = _build(cfg)
    student = getattr(model, 'student', model)
    size = None if config else _stored_size(meta, path)
    load_strictly(
        student,
        weights_of(weights, 'student'),
        f'the checkpoint {path!r}',
        'Give --config with the config that it was trained with.',
        whole=True,
    )
    exported = student_checkpoint(model, cfg, size)
    kept = {key: meta[key] for key in _KEPT if key in meta}
    exported['meta'].update(kept)
    return Student(
        student.eval(),
        exported,
        config_from_text(exported['meta']['cfg'], path),
        exported['meta'].get('input_size'),
        _knows_preprocessing(model, cfg),
    )


def _build(cfg: Config) -> nn.Module:
    """The model of a config; of a distiller no more than its student."""
    student, kind = cfg.model.get('student'), cfg.model.get('type')
    if isinstance(kind, str):
        kind = MODELS.get(kind)
    if (
        isinstance(student, (dict, str))
        and inspect.isclass(kind)
        and issubclass(kind, BaseDistiller)
    ):
        return BaseDistiller(student, cfg.model.get('data_preprocessor'))
    return MODELS.build(cfg.model)


def _config(path: str, meta: dict, config: str | None) -> Config:
    if config is not None:
        if not os.path.isfile(config):
            raise FileNotFoundError(
                f'there is no config file {config!r}; correct --config'
            )
        cfg = from_file(config)
        where = config
    elif isinstance(meta.get('cfg'), str):
        cfg = config_from_text(meta['cfg'], path)
        require_harmless(cfg, path)
        where = f'the config in {path}'
    else:
        raise CheckpointError(
            f'{path} holds no config (meta.cfg); give --config with the '
            'config that it was trained with'
        )
    if not isinstance(cfg.get('model'), dict):
        raise CheckpointError(
            f'{where} has no `model`; give --config with a config of training'
        )
    return cfg


def _stored_size(meta: dict, path: str) -> tuple[int, int] | None:
    size = meta.get('input_size')
    if size is None:
        return None
    if (
        not isinstance(size, (tuple, list))
        or len(size) != 2
        or not all(type(x) is int and 0 < x <= _LARGEST for x in size)
    ):
        raise CheckpointError(
            f'meta.input_size in {path} is (height, width) in pixels, got '
            f'{str(size)[:80]}; export the student again from its run'
        )
    return tuple(size)


def _knows_preprocessing(model: nn.Module, cfg: Config) -> bool:
    """Whether a config that names no preprocessor means that there was none.

    That of a run does; that of a bare network need not.
    """
    return (
        'data_preprocessor' in cfg.model
        or 'train_dataloader' in cfg
        or hasattr(model, 'student')
        or isinstance(model, DenseModel)
    )
