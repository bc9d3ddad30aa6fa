from __future__ import annotations

import traceback
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.runner import Runner
from torch.utils.data import DataLoader


def build_dataloader(
    dataloader: DataLoader | dict, *args: Any, **kwargs: Any
) -> DataLoader:
    """As ``Runner.build_dataloader``; a dataset without samples is an error.

    Raises:
        ValueError: naming the keys that say where samples are.
    """
    try:
        loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        empty = len(loader.dataset) == 0
    except ValueError as error:
        if not _packed_nothing(error):
            raise
        empty = True
    if empty:
        raise ValueError(
            'this dataset has no sample; check data_root, data_prefix, '
            'ann_file and split in the dataset of train_dataloader, '
            f'val_dataloader or test_dataloader: {dataloader}'
        )
    return loader


def _packed_nothing(error: ValueError) -> bool:
    """Whether MMEngine failed to pack the samples of a dataset without any."""
    pack = BaseDataset._serialize_data.__code__
    return any(
        frame.f_code is pack and not frame.f_locals['self'].data_list
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
