from __future__ import annotations

import os
import os.path as osp
from typing import Any

from mmpretrain.datasets import BaseDataset

from mmdistill.registry import DATASETS
from mmdistill.utils.text import shown


@DATASETS.register_module()
class TinyImageNet(BaseDataset):
    """Tiny ImageNet: 200 classes at 64x64, 500 train and 50 val images each.

    It reads the published layout: ``train/<wnid>/images/*.JPEG``,
    ``val/images`` with ``val/val_annotations.txt``, the classes in
    ``wnids.txt`` and their names in ``words.txt``. Classes are numbered in the
    order of their wnids, as in a dataset of class folders. The labels of the
    test set are not public.

    Paper: Le and Yang, Tiny ImageNet Visual Recognition Challenge, Stanford
    CS 231N course report, 2015.

    Args:
        data_root: folder of ``wnids.txt``.
        split: 'train' or 'val'.
        pipeline, metainfo, indices, ...: as in MMPretrain's BaseDataset.
    Raises:
        FileNotFoundError: if a file, a folder or images are missing.
        ValueError: for an unknown split, if ``wnids.txt`` is empty, or if
            annotations have other classes.
    Config:
        dataset=dict(type='TinyImageNet', data_root='data/tiny-imagenet-200',
                     split='train', pipeline=train_pipeline)
    """

    def __init__(
        self, data_root: str = '', split: str = 'train', **kwargs: Any
    ) -> None:
        if split not in ('train', 'val'):
            raise ValueError(
                "TinyImageNet.split is 'train' or 'val' (the test set has no "
                f'labels), got {split!r}'
            )
        self.split = split
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per image: ``img_path`` and ``gt_label``."""
        wnids = sorted(x for (x, *_) in self._table('wnids.txt'))
        if not wnids:
            raise ValueError(
                f'{self._path("wnids.txt")!r} names no class; get it again'
            )
        words = dict(row[:2] for row in self._table('words.txt'))
        self._metainfo.setdefault(
            'classes', tuple(words.get(wnid, wnid) for wnid in wnids)
        )
        numbers = {wnid: number for number, wnid in enumerate(wnids)}
        read = self._val if self.split == 'val' else self._train
        return [
            dict(img_path=path, gt_label=numbers[wnid])
            for path, wnid in read(numbers)
        ]

    def _train(self, numbers: dict[str, int]) -> list[tuple[str, str]]:
        return [
            (osp.join(folder, name), wnid)
            for wnid in numbers
            for folder in [self._path('train', wnid, 'images')]
            for name in self._images(folder)
        ]

    def _val(self, numbers: dict[str, int]) -> list[tuple[str, str]]:
        rows = self._table('val', 'val_annotations.txt')
        unknown = sorted({wnid for _, wnid, *_ in rows} - numbers.keys())
        if unknown:
            raise ValueError(
                'val_annotations.txt names classes that wnids.txt does not '
                f'have ({shown(unknown)}); get both again'
            )
        folder = self._path('val', 'images')
        there = self._images(folder)
        missing = sorted({name for name, *_ in rows} - set(there))
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of the {len(rows)} images in '
                f'val_annotations.txt are not in {folder!r}: '
                f'{shown(missing)}; get them again'
            )
        return [(osp.join(folder, name), wnid) for name, wnid, *_ in rows]

    def _images(self, folder: str) -> list[str]:
        if not osp.isdir(folder):
            raise FileNotFoundError(self._advice('folder', folder))
        return sorted(x for x in os.listdir(folder) if x.endswith('.JPEG'))

    def _table(self, *names: str) -> list[list[str]]:
        """The lines of a file, split at tabs."""
        path = self._path(*names)
        if not osp.isfile(path):
            raise FileNotFoundError(self._advice('file', path))
        with open(path, encoding='utf-8') as file:
            return [x.split('\t') for x in file.read().splitlines() if x]

    def _path(self, *names: str) -> str:
        return osp.join(osp.expanduser(self.data_root), *names)

    def _advice(self, what: str, path: str) -> str:
        return (
            f'TinyImageNet has no {what} {path!r}; set data_root to the '
            'folder of wnids.txt, words.txt, train and val, as the archive '
            'has them'
        )

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [f'Split: \t{self.split} of {self.data_root!r}']
