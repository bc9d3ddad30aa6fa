"""Settings of torchvision's detectors: numbers by their names, anchors."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torchvision.models import detection
from torchvision.models.detection.rpn import AnchorGenerator

#: torchvision's anchor sizes: one per FPN level, or all on the C4 map.
ANCHOR_SIZES = dict(
    fpn=((32,), (64,), (128,), (256,), (512,)),
    c4=((32, 64, 128, 256, 512),),
)


def _numbers(*beginnings: str) -> dict[str, Any]:
    """torchvision's numeric arguments with these prefixes, and defaults."""
    parts = 'rpn_anchor_generator rpn_head box_roi_pool box_head box_predictor'
    parameters = inspect.signature(detection.FasterRCNN).parameters
    return {
        name: parameter.default
        for name, parameter in parameters.items()
        if name.startswith(beginnings) and name not in parts.split()
    }


RPN_NUMBERS = _numbers('rpn_')
ROI_NUMBERS = _numbers('box_', 'bbox_')


def completed(given: dict | None, known: dict, key: str) -> dict[str, Any]:
    """torchvision's settings, overridden by the given ones.

    Raises:
        ValueError: for a name that torchvision does not know.
    """
    unknown = sorted(set(given or ()) - set(known))
    if unknown:
        raise ValueError(
            f'{key} holds numbers by their names in torchvision; it does not '
            f'know {unknown}, the known ones are {sorted(known)}'
        )
    return {**known, **(given or {})}


def anchor_generator(
    sizes: Sequence, ratios: Sequence[float], levels: int
) -> AnchorGenerator:
    """Anchors of all levels; a number stands for a sequence of one.

    Raises:
        ValueError: if sizes and levels do not fit.
    """
    sizes = tuple(
        tuple(one) if isinstance(one, (list, tuple)) else (one,)
        for one in sizes
    )
    if len(sizes) != levels or len({len(one) for one in sizes}) > 1:
        raise ValueError(
            f'model.anchor_sizes has one sequence of sizes for each of the '
            f'{levels} level(s), all equally long; got {len(sizes)}: '
            f'anchor_sizes={sizes}'
        )
    return AnchorGenerator(sizes, (tuple(ratios),) * levels)
