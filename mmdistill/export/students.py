"""Students as they are deployed: read from a file, run, compared."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmpretrain.models import BaseSelfSupervisor, ImageClassifier
from torch import Tensor, nn

from mmdistill.checkpoints import (
    CheckpointError,
    load_file,
    load_strictly,
    state_dict_of,
)
from mmdistill.checkpoints.config_text import (
    config_from_text,
    require_harmless,
)
from mmdistill.export.checkpoint import (
    student_checkpoint,
    test_pipeline,
)
from mmdistill.models.dense.base import FineTunedModel
from mmdistill.models.pretrained import weights_of
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
            says how images were normalised, or that they were not. Files that
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
    if cfg.model.get('teacher_ckpt') is not None:
        cfg.model.teacher_ckpt = None
    if cfg.get('data_preprocessor') is not None:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(cfg.model)
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


def _config(path: str, meta: dict, config: str | None) -> Config:
    if config is not None:
        if not os.path.isfile(config):
            raise FileNotFoundError(
                f'there is no config file {config!r}; correct --config'
            )
        cfg = Config.fromfile(config)
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
        or isinstance(model, FineTunedModel)
    )


class Deployed(nn.Module):
    """What a student answers: logits, or without a head pooled features.

    Softmax is not included.

    Args:
        model: an ``ImageClassifier``, a `SelfSupervisedEncoder`, whose head
            and prototypes are not used, or an algorithm of MMPretrain.
        with_preprocessing: take images of 0 to 255 in RGB (or grey) and
            normalise them as the model's ``data_preprocessor`` does.
        bgr: with preprocessing, the network was trained on BGR.
    Shape:
        (N, C, H, W); returns (N, K), or (N, D) without a head.
    Raises:
        ExportError: for a detector or a segmentor.
    """

    def __init__(
        self,
        model: nn.Module,
        with_preprocessing: bool = False,
        bgr: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(model, FineTunedModel):
            raise ExportError(
                f'the file holds a {type(model).__name__}, which gives '
                'neither logits nor a feature; export the student that its '
                'backbone started from, or its backbone with --format mmdet'
            )
        self.model = model
        self.with_preprocessing = with_preprocessing
        self.bgr = bgr
        self.classifies = (
            isinstance(model, ImageClassifier) and model.with_head
        )
        if with_preprocessing:
            given = model.data_preprocessor
            one = torch.ones(())
            self.register_buffer('mean', getattr(given, 'mean', 0 * one))
            self.register_buffer('std', getattr(given, 'std', one))
            self.divisor = getattr(given, 'pad_size_divisor', 1)
            self.pad_value = getattr(given, 'pad_value', 0)

    def forward(self, images: Tensor) -> Tensor:
        """Logits or features of a batch."""
        if self.with_preprocessing:
            if self.bgr:
                images = images.flip(1)
            images = (images - self.mean) / self.std
            height, width = images.shape[-2:]
            right, below = -width % self.divisor, -height % self.divisor
            if right or below:
                images = F.pad(
                    images, (0, right, 0, below), value=self.pad_value
                )
        if self.classifies:
            return self.model(images, mode='tensor')
        outputs = self.model.backbone(images)
        # The neck of MMPretrain's algorithms is a projection.
        is_algorithm = isinstance(self.model, BaseSelfSupervisor)
        if self.model.neck is not None and not is_algorithm:
            outputs = self.model.neck(outputs)
        feature = outputs[-1] if isinstance(outputs, tuple) else outputs
        return feature.mean(dim=(2, 3)) if feature.ndim == 4 else feature


def sees_bgr(cfg: Config) -> bool:
    """Whether a student is given the BGR images that OpenCV reads."""
    first = (test_pipeline(cfg) or [{}])[0]
    reads_bgr = (
        first.get('type') == 'LoadImageFromFile'
        and first.get('color_type', 'color') == 'color'
    )
    preprocessor = cfg.model.get('data_preprocessor') or {}
    return reads_bgr and not preprocessor.get('to_rgb', False)


def prepared_as(student: Student) -> str:
    """What has to be done to RGB images of 0 to 255, as a sentence."""
    if not student.knows_preprocessing:
        return (
            'the file does not say how images were normalised (earlier '
            'versions lost it): normalise them as in training, or give '
            '--config with the config of the training'
        )
    order = 'grey' if student.channels == 1 else 'RGB'
    if sees_bgr(student.cfg):
        order = 'BGR (turn RGB round)'
    given = student.model.data_preprocessor
    if getattr(given, 'mean', None) is None:
        return f'images are taken {order}, as they are, 0 to 255'
    mean, std = (
        [round(float(x), 4) for x in getattr(given, name).flatten()]
        for name in ('mean', 'std')
    )
    return f'images are taken {order}, 0 to 255, minus {mean}, over {std}'


def require_equal(
    actual: Tensor, expected: Tensor, bound: float, what: str
) -> float:
    """The largest difference over the largest expected magnitude.

    Raises:
        ExportError: if it is above ``bound``, or the shapes differ.
    """
    if actual.shape != expected.shape:
        raise ExportError(
            f'{what} answers with shape {tuple(actual.shape)} where the '
            f'student answers with {tuple(expected.shape)}; nothing was '
            'written'
        )
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    difference = float((actual - expected).abs().max() / scale)
    if not difference <= bound:
        raise ExportError(
            f'{what} answers otherwise than the student: they differ by '
            f'{difference:.1e} of the largest value, {bound:.0e} is allowed; '
            'nothing was written'
        )
    return difference
