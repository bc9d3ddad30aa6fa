"""Students as they are deployed: read from a file, run, compared."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmpretrain.models import BaseSelfSupervisor, ImageClassifier
from torch import Tensor, nn

from mmdistill.engine.checkpoint import (
    CheckpointError,
    load_file,
    load_strictly,
    state_dict_of,
)
from mmdistill.engine.export.checkpoint import student_checkpoint
from mmdistill.engine.export.config_text import (
    config_from_text,
    require_harmless,
)
from mmdistill.models.fine_tuned import FineTunedModel
from mmdistill.models.pretrained import weights_of
from mmdistill.registry import MODELS

# What an export keeps of the file that it comes from.
_KEPT = ('dataset_meta', 'epoch', 'iter', 'score')


class ExportError(RuntimeError):
    """A student that cannot be exported so: why, and what to do instead."""


@dataclass(frozen=True)
class Student:
    """A student read from a file.

    Attributes:
        model: the student, in eval mode.
        checkpoint: what `student_checkpoint` makes of it.
        cfg: the config in the checkpoint.
        input_size: (height, width) of its images, or None if the config does
            not say.
    """

    model: nn.Module
    checkpoint: dict
    cfg: Config
    input_size: tuple[int, int] | None

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
    load_strictly(
        student,
        weights_of(weights, 'student'),
        f'the checkpoint {path!r}',
        'Give --config with the config that it was trained with.',
        whole=True,
    )
    exported = student_checkpoint(model, cfg)
    kept = {key: meta[key] for key in _KEPT if key in meta}
    exported['meta'].update(kept)
    return Student(
        student.eval(),
        exported,
        config_from_text(exported['meta']['cfg'], path),
        _input_size(cfg, student),
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


def _input_size(cfg: Config, student: nn.Module) -> tuple[int, int] | None:
    """(height, width) that the distiller, backbone or pipeline names."""
    if 'input_size' in cfg.model:
        return tuple(cfg.model.input_size[1:])
    size = getattr(student.backbone, 'img_size', None)
    for step in () if size else reversed(_test_pipeline(cfg)):
        if step['type'] == 'CenterCrop':
            size = step['crop_size']
        elif step['type'] == 'Resize':
            size = step['scale']  # (width, height)
            size = size if isinstance(size, int) else size[::-1]
        if size:
            break
    return (size, size) if isinstance(size, int) else size and tuple(size)


def _test_pipeline(cfg: Config) -> list[dict]:
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    return list(dataset.get('pipeline', ()))


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

    def forward(self, images: Tensor) -> Tensor:
        """Logits or features of a batch."""
        if self.with_preprocessing:
            if self.bgr:
                images = images.flip(1)
            images = (images - self.mean) / self.std
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
    first = (_test_pipeline(cfg) or [{}])[0]
    reads_bgr = (
        first.get('type') == 'LoadImageFromFile'
        and first.get('color_type', 'color') == 'color'
    )
    preprocessor = cfg.model.get('data_preprocessor') or {}
    return reads_bgr and not preprocessor.get('to_rgb', False)


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
