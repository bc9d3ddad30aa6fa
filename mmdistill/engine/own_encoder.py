"""Students without classes, whose feature is compared with the teacher's."""

from __future__ import annotations

from typing import Any

from mmdistill.datasets.own_data import DataError
from mmdistill.engine.methods import Method
from mmdistill.models.distillers.endpoint import Endpoint
from mmdistill.models.representation import RepresentationReader
from mmdistill.models.zoo import get_model, model_info, resolve_model

#: Losses that compare a student's rows with the teacher's own.
_IN_ONE_SPACE = ('SEEDLoss', 'CompRessLoss')


def mapped_to_teacher(
    student: dict, teacher: str | dict | None, method: Method, size: int
) -> dict:
    """The student, with a linear map to the teacher's width if it needs one.

    SEED and CompRess compare an image with a queue of the teacher's features.
    A head of the models' own, as in their papers, a model by name does not
    have.

    Args:
        student: ``dict(type=NAME, num_classes=0, ...)``.
        teacher: its name, its file, or ``dict(type=NAME, ...)``.
        method: which it is.
        size: height and width of the images.
    Raises:
        DataError: if the student is no network that can be mapped so.
    """
    losses = method.settings.get('losses') or {}
    if not method.is_label_free or not any(
        cfg['type'] in _IN_ONE_SPACE for cfg in losses.values()
    ):
        return student
    own = _width(student, size)
    other = _width(teacher, None)
    if own == other:
        return student
    cfg = resolve_model(student)
    if cfg['type'] != 'NetworkClassifier':
        raise DataError(
            f'method={method.name!r} compares features of one width, but '
            f'the student has {own} and the teacher {other}; a student of '
            'timm, torchvision or hf is mapped to it'
        )
    backbone: dict[str, Any] = dict(type='NetworkBackbone')
    taken = 'network pretrained input_size in_channels options maps'.split()
    taken += ['classifier']
    backbone.update({key: cfg[key] for key in taken if key in cfg})
    return dict(
        type='SelfSupervisedEncoder',
        backbone=backbone,
        neck=dict(
            type='LinearNeck',
            in_channels=own,
            out_channels=other,
            norm_cfg=None,
        ),
        data_preprocessor=cfg['data_preprocessor'],
    )


def level_of_features(method: Method) -> dict[str, str]:
    """Settings by which losses compare features, where they compare heads."""
    if not method.is_label_free:
        return {}
    losses = method.settings.get('losses') or {}
    return {
        f'model.losses.{name}.level': 'feature'
        for name, cfg in losses.items()
        if (cfg.get('level') or method.losses[name].level) == 'embedding'
    }


def _width(model: str | dict | None, size: int | None) -> int:
    """Width of a model's feature."""
    cfg = dict(type=model) if isinstance(model, str) else dict(model or {})
    height = size or model_info(cfg['type']).size[0]
    cfg.pop('pretrained', None)
    network = get_model(cfg)
    channels = next(w for w in network.parameters() if w.ndim == 4).shape[1]
    reader = RepresentationReader(network)
    end = Endpoint('model', reader, (channels, height, height), False)
    width = end.width('feature')
    if width is None:
        raise DataError(
            f'{cfg["type"]!r} gives no feature to compare; choose another'
        )
    return width
