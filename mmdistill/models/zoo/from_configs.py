"""Networks by name that are configs: MMPretrain's and the CIFAR zoo's."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torch

from mmdistill.models.backbones.cifar_zoo import CIFAR_ZOO, cifar_classifier
from mmdistill.models.zoo.library import (
    ConfigLibrary,
    ModelInfo,
    ModelNameError,
    WeightsError,
    first_line,
)

_CIFAR100 = dict(
    mean=(129.304, 124.070, 112.434), std=(68.170, 65.392, 70.418)
)


class CIFAR(ConfigLibrary):
    """The benchmarks' networks for images of 32 pixels (RepDistiller's)."""

    name = 'cifar'
    publishes = False

    def names(self) -> list[str]:
        return list(CIFAR_ZOO)

    def info(self, name: str) -> ModelInfo:
        return ModelInfo(size=(32, 32), crop=1.0, **_CIFAR100)

    def config(
        self, name: str, num_classes: int | None, pretrained: bool
    ) -> dict:
        if pretrained:
            raise WeightsError(
                f'cifar/{name} has no published weights; train it, or give '
                'the file of one (tools/model_converters/'
                "repdistiller_to_mmdistill.py takes RepDistiller's)"
            )
        cfg = cifar_classifier(name, num_classes or 100)
        if num_classes == 0:
            del cfg['head']
        return cfg


class MMPretrain(ConfigLibrary):
    """MMPretrain's model zoo: https://mmpretrain.readthedocs.io"""

    name = 'mmpretrain'

    def names(self) -> list[str]:
        from mmpretrain import list_models

        return list_models()

    def info(self, name: str) -> ModelInfo:
        cfg = _entry(name).config
        images = cfg.get('data_preprocessor') or {}
        images = cfg.model.get('data_preprocessor') or images
        settings: dict[str, Any] = {}
        if images.get('mean') is not None:
            settings = dict(mean=tuple(images.mean), std=tuple(images.std))
        size, interpolation, crop = _test_images(cfg)
        parts = (cfg.model.get(part) or {} for part in ('head', 'backbone'))
        counts = [part.get('num_classes', 0) for part in parts]
        return ModelInfo(
            size=size,
            interpolation=interpolation,
            crop=crop,
            num_classes=next(filter(None, counts), 0),
            classes=_class_names(cfg),
            is_fixed='img_size' in (cfg.model.get('backbone') or {}),
            **settings,
        )

    def config(
        self, name: str, num_classes: int | None, pretrained: bool
    ) -> dict:
        entry = _entry(name)
        model = entry.config.model.to_dict()
        if model.get('backbone') is None:
            raise ModelNameError(
                f'mmpretrain/{name} is a {model["type"]}, which has no '
                'backbone and so is neither a student nor a teacher'
            )
        # Mixing of images and weights of an earlier training are no part of
        # the network.
        model.pop('train_cfg', None)
        model.pop('init_cfg', None)
        model['backbone'].pop('init_cfg', None)
        if num_classes == 0:
            model.pop('head', None)
        elif num_classes is not None:
            _set_classes(model, name, num_classes)
        if not pretrained and (model.get('head') or {}).get('distillation'):
            # LeViT's second classifier, which MMPretrain does not train
            model['head']['distillation'] = False
        if pretrained:
            model['init_cfg'] = dict(
                type='Pretrained',
                checkpoint=_weights(name, entry),
                partial=num_classes is not None,
            )
        return model


def _entry(name: str) -> Any:
    from mmpretrain.apis.model import ModelHub

    try:
        entry = ModelHub.get(name)
    except Exception as error:  # some of its configs cannot be read
        raise ModelNameError(
            f'MMPretrain cannot read its own config of {name} '
            f'({first_line(error)}); choose another model'
        ) from error
    if entry.config is None:
        raise ModelNameError(
            f'MMPretrain has weights and no config of {name}; choose another '
            'model'
        )
    return entry


def _weights(name: str, entry: Any) -> str:
    """Where the published weights are; on this machine, if they lie there."""
    if entry.weights is None:
        raise WeightsError(f'MMPretrain publishes no weights for {name}')
    file = PurePosixPath(urlparse(entry.weights).path).name
    local = os.path.join(torch.hub.get_dir(), 'checkpoints', file)
    return local if os.path.isfile(local) else entry.weights


def _set_classes(model: dict, name: str, num_classes: int) -> None:
    head = model.get('head') or {}
    part = head if 'num_classes' in head else model['backbone']
    if 'num_classes' not in part:
        raise ModelNameError(
            f'mmpretrain/{name} has no classifier, so it cannot have '
            f'{num_classes} classes; leave num_classes out'
        )
    part['num_classes'] = num_classes
    if 'num_classes' in (head.get('loss') or {}):
        head['loss']['num_classes'] = num_classes
    if head.get('topk') and max(head['topk']) > num_classes:
        head['topk'] = (1,)


def _test_images(cfg: Any) -> tuple[tuple[int, int], str, float]:
    """Size, interpolation and cropped part of a config's test images."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    steps = (loader.get('dataset') or {}).get('pipeline') or []
    size = resized = None
    interpolation = 'bilinear'
    for step in steps:
        if step['type'] in ('Resize', 'ResizeEdge'):
            resized = step['scale']
            size = size or resized
            interpolation = step.get('interpolation', interpolation)
        elif step['type'] == 'CenterCrop':
            size = step['crop_size']
    if size is None:
        return (224, 224), interpolation, 0.875
    pair = (size, size) if isinstance(size, int) else tuple(size)[::-1]
    edge = resized if isinstance(resized, int) else pair[0]
    return pair, interpolation, pair[0] / edge


def _class_names(cfg: Any) -> tuple[str, ...] | None:
    from mmpretrain.registry import DATASETS

    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    kind = DATASETS.get(dataset['type']) if 'type' in dataset else None
    names = getattr(kind, 'METAINFO', {}).get('classes')
    return tuple(name.split(',')[0] for name in names) if names else None
