from __future__ import annotations

import torch
from torch import Tensor


def dataset_labels(dataset) -> Tensor | None:
    """Labels of all samples of a dataset, -1 for samples without a label.

    It reads datasets of MMEngine and MMPretrain and their wrappers (Concat,
    Repeat, ClassBalanced, KFold) through ``get_data_info``, and those of
    torchvision through ``targets``.

    Shape:
        returns (len(dataset),) int64; None if the dataset offers neither or a
        sample has several labels.
    """
    info = getattr(dataset, 'get_data_info', None)
    if info is not None:
        labels = [info(i).get('gt_label', -1) for i in range(len(dataset))]
    else:
        labels = getattr(dataset, 'targets', None)
    try:
        labels = torch.as_tensor(labels, dtype=torch.long)
    except (TypeError, ValueError, RuntimeError):
        return None
    return labels if labels.shape == (len(dataset),) else None


def largest_label(dataset, limit: int = 20_000) -> int | None:
    """The largest label of a dataset that has one number a sample.

    Args:
        dataset: as of `dataset_labels`.
        limit: samples that are looked at; of more, some at equal distances.
    Returns:
        None if it does not tell, or a sample has several labels.
    """
    info = getattr(dataset, 'get_data_info', None)
    if info is None:
        labels = getattr(dataset, 'targets', None)
        if labels is None:
            return None
    else:
        step = -(-len(dataset) // limit)
        rows = range(0, len(dataset), step)
        labels = [info(i).get('gt_label', -1) for i in rows]
    try:
        labels = torch.as_tensor(labels, dtype=torch.long)
    except (TypeError, ValueError, RuntimeError):
        return None
    return int(labels.max()) if labels.ndim == 1 and len(labels) else None
