"""What a config says of how its test images are read."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config


def test_pipeline(cfg: Config) -> list[dict] | None:
    """The transforms of test images, or of validation images, if any.

    A dataset that wraps others has those of the first inside. An
    ``ImageTensorDataset`` has its own after those, which run once.
    """
    for name in ('test_dataloader', 'val_dataloader'):
        pipeline = _pipeline_of((cfg.get(name) or {}).get('dataset'))
        if pipeline is not None:
            return pipeline
    return None


def _pipeline_of(dataset: Any) -> list[dict] | None:
    if not isinstance(dataset, dict):
        return None
    own = dataset.get('pipeline')
    keeps = str(dataset.get('type')).endswith('ImageTensorDataset')
    if own is not None and not keeps:
        return list(own)
    several = dataset.get('datasets') or [None]
    inside = _pipeline_of(dataset.get('dataset', several[0]))
    if keeps:
        own = [dict(type='PackInputs')] if own is None else own
        return [*(inside or ()), *own]
    return inside


def sees_bgr(cfg: Config) -> bool:
    """Whether a student is given the BGR images that OpenCV reads."""
    first = (test_pipeline(cfg) or [{}])[0]
    reads_bgr = (
        first.get('type') == 'LoadImageFromFile'
        and first.get('color_type', 'color') == 'color'
    )
    preprocessor = cfg.model.get('data_preprocessor') or {}
    return reads_bgr and not preprocessor.get('to_rgb', False)
