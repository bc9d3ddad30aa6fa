from __future__ import annotations

import csv
from typing import Any

from mmengine.fileio import exists, get_file_backend, isdir, list_from_file
from mmpretrain.datasets import BaseDataset

from mmdistill.registry import DATASETS
from mmdistill.utils.text import shown


@DATASETS.register_module()
class MiniImageNet(BaseDataset):
    """miniImageNet: 100 classes of 600 images; 64 train, 16 val, 20 test.

    The layout is that of Ravi and Larochelle: tables ``train.csv``,
    ``val.csv`` and ``test.csv`` with the columns ``filename`` and ``label``,
    next to one folder with all images. The classes of a split are numbered in
    the order of their names.

    Papers: Vinyals et al., Matching Networks for One Shot Learning, NeurIPS
    2016, https://arxiv.org/abs/1606.04080; the splits are those of Ravi and
    Larochelle, Optimization as a Model for Few-Shot Learning, ICLR 2017,
    https://openreview.net/forum?id=rJY0-Kcll.

    Args:
        data_root: folder of the tables and of the image folder.
        split: 'train', 'val' or 'test', the name of the table.
        ann_file: another table, relative to data_root.
        data_prefix: the image folder, relative to data_root.
        pipeline, metainfo, ...: as in MMPretrain's BaseDataset.
    Raises:
        FileNotFoundError: if the table, the folder or images are missing.
        ValueError: if the table has other columns or no rows.
    Config:
        dataset=dict(type='MiniImageNet', data_root='data/mini_imagenet',
                     split='train', pipeline=train_pipeline)
    """

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        ann_file: str = '',
        data_prefix: str | dict = 'images',
        **kwargs: Any,
    ) -> None:
        super().__init__(
            ann_file=ann_file or f'{split}.csv',
            data_root=data_root,
            data_prefix=data_prefix,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """One dict per row: ``img_path`` and ``gt_label``."""
        rows = self._rows()
        if not isdir(self.img_prefix):
            raise FileNotFoundError(
                f'MiniImageNet needs the images in {self.img_prefix!r}, which '
                'is no folder; set data_root and data_prefix'
            )
        backend = get_file_backend(self.img_prefix, enable_singleton=True)
        paths = [
            backend.join_path(self.img_prefix, row['filename']) for row in rows
        ]
        missing = [path for path in paths if not backend.exists(path)]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of the {len(rows)} images of '
                f'{self.ann_file!r} are not there ({shown(missing)}); '
                'complete the folder, or correct data_root and data_prefix'
            )
        classes = sorted({row['label'] for row in rows})
        self._metainfo.setdefault('classes', tuple(classes))
        numbers = {name: number for number, name in enumerate(classes)}
        return [
            dict(img_path=path, gt_label=numbers[row['label']])
            for path, row in zip(paths, rows, strict=True)
        ]

    def _rows(self) -> list[dict[str, str]]:
        if not exists(self.ann_file):
            raise FileNotFoundError(
                f'MiniImageNet has no table {self.ann_file!r}; set data_root '
                "and split ('train', 'val' or 'test'), or ann_file"
            )
        table = csv.DictReader(list_from_file(self.ann_file))
        if not {'filename', 'label'} <= set(table.fieldnames or ()):
            raise ValueError(
                f'the first line of {self.ann_file!r} must be '
                f"'filename,label', got {table.fieldnames}"
            )
        rows = list(table)
        if not rows:
            raise ValueError(f'{self.ann_file!r} names no image')
        return rows
