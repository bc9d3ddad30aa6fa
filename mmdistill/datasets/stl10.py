from __future__ import annotations

import os.path as osp
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmdistill.registry import DATASETS

_SHAPE = (3, 96, 96)
_BYTES = int(np.prod(_SHAPE))
_CLASSES = 10


@DATASETS.register_module()
class STL10(BaseDataset):
    """STL-10: 10 classes of 96x96 color images, 5,000 train, 8,000 test.

    It reads the published binary files: ``train_X.bin`` and ``test_X.bin``
    hold the images as (channel, column, row), ``train_y.bin`` and
    ``test_y.bin`` the labels from 1, ``class_names.txt`` the names. Images are
    read from the file on access.

    Paper: Coates et al., An Analysis of Single-Layer Networks in Unsupervised
    Feature Learning, AISTATS 2011,
    https://proceedings.mlr.press/v15/coates11a.html.

    Args:
        data_root: folder of the files.
        split: 'train' or 'test'.
        pipeline: transforms; the image is ``img``, (96, 96, 3) uint8 in RGB.
        metainfo, indices, lazy_init, ...: as in MMPretrain's BaseDataset.
    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: for an unknown split, or if the file sizes do not agree,
            such as after an interrupted copy.
    Config:
        dataset=dict(type='STL10', data_root='data/stl10_binary',
                     split='train', pipeline=train_pipeline)
    """

    def __init__(
        self, data_root: str = '', split: str = 'train', **kwargs: Any
    ) -> None:
        if split not in ('train', 'test'):
            raise ValueError(
                f"STL10.split is 'train' or 'test', got {split!r}"
            )
        self.split = split
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per image: ``gt_label`` and its ``row`` in the file."""
        labels = np.fromfile(self._file(f'{self.split}_y.bin'), np.uint8)
        size = osp.getsize(self._file(f'{self.split}_X.bin'))
        if size != len(labels) * _BYTES:
            raise ValueError(
                f'{self.split}_X.bin in {self.data_root!r} has {size} bytes, '
                f'but {self.split}_y.bin has {len(labels)} labels, which '
                f'needs {len(labels) * _BYTES}; get the files again'
            )
        if not set(labels) <= set(range(1, _CLASSES + 1)):
            raise ValueError(
                f'{self.split}_y.bin in {self.data_root!r} has the labels '
                f'{sorted(set(labels.tolist()))}, expected 1 to {_CLASSES}; '
                'get the file again'
            )
        with open(self._file('class_names.txt')) as file:
            self._metainfo.setdefault('classes', tuple(file.read().split()))
        return [
            dict(gt_label=int(label) - 1, row=row)
            for row, label in enumerate(labels)
        ]

    def prepare_data(self, idx: int) -> Any:
        """Read an image, then run the pipeline."""
        info = self.get_data_info(idx)
        image = np.fromfile(
            self._file(f'{self.split}_X.bin'),
            np.uint8,
            count=_BYTES,
            offset=info.pop('row') * _BYTES,
        )
        image = image.reshape(_SHAPE).transpose(2, 1, 0)  # (C, W, H)
        return self.pipeline(dict(info, img=np.ascontiguousarray(image)))

    def _file(self, name: str) -> str:
        path = osp.expanduser(osp.join(self.data_root, name))
        if not osp.isfile(path):
            raise FileNotFoundError(
                f'STL10 has no file {path!r}; unpack the published archive '
                '(its folder is stl10_binary) and set data_root to the '
                'folder of train_X.bin'
            )
        return path

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [f'Split: \t{self.split} of {self.data_root!r}']
