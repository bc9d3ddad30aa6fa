from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby, takewhile
from typing import Any

import torch
from torch import Tensor

from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)


def read_views(
    reader: RepresentationReader,
    views: Sequence[Tensor],
    dropout_views: bool = False,
) -> list[Representation]:
    """Representations of views, with one forward pass a size.

    Neighbors of one size are joined to one batch, and an encoder's head sees
    all views in one, as in the published multi-crop code: BatchNorm takes its
    statistics over them.

    Args:
        reader: of the model.
        views: as the data preprocessor gives them, global ones first.
        dropout_views: append each view once more, as an encoder's head gives
            it with its dropout; the first ones are without.
    Shape:
        views: each (N, C, H, W), H and W by view; returns as many, or twice
        as many, N rows each, in order.
    """
    if not reader.projects:
        return _by_size(reader, views)
    seen = _by_size(partial(reader, projected=False), views)
    feature = torch.cat([view.feature for view in seen])
    passes = [dict(dropout=False), {}] if dropout_views else [{}]
    return [
        Representation(view.maps, view.feature, embedding, logits)
        for kwargs in passes
        for view, embedding, logits in zip(
            seen,
            *(_split(x, seen) for x in reader.project(feature, **kwargs)),
            strict=True,
        )
    ]


def global_views(views: Sequence[Tensor]) -> int:
    """How many of the first views are global: as large as the very first."""
    largest = _size(views[0])
    return len(list(takewhile(lambda view: _size(view) == largest, views)))


def two_views(inputs: Any, scheme: str) -> list[Tensor]:
    """The two views of a batch.

    Args:
        inputs: as the data preprocessor gives them.
        scheme: who needs them, for errors.
    Raises:
        ValueError: for another number of views.
    """
    if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
        got = 1 if isinstance(inputs, Tensor) else len(inputs)
        raise ValueError(
            f'{scheme} takes two views of every image, got {got}; use '
            "dict(type='MultiView', num_views=[2], transforms=[[...]]) in "
            'train_pipeline'
        )
    return list(inputs)


def _by_size(
    reader: Callable[[Tensor], Representation], views: Sequence[Tensor]
) -> list[Representation]:
    representations = []
    for _, group in groupby(views, key=_size):
        group = list(group)
        joined = reader(torch.cat(group))
        representations += joined.split(len(group[0]))
    return representations


def _split(
    joined: Tensor | None, views: Sequence[Representation]
) -> Sequence[Tensor | None]:
    """The rows of each view, which are equally many; None stays None."""
    if joined is None:
        return [None] * len(views)
    return joined.split(len(joined) // len(views))


def _size(view: Tensor) -> torch.Size:
    return view.shape[-2:]
