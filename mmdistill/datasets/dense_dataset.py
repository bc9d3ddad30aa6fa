"""Shared file handling of the detection and segmentation datasets."""

from __future__ import annotations

import logging
import os
import os.path as osp
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from mmdistill.datasets.transforms.loading import UnreadableFile
from mmdistill.utils.text import shown


class DenseDataset(BaseDataset):
    """Base of detection and segmentation sets, which handles corrupt files.

    With ``corrupt='fail'`` a file that cannot be decoded ends the run with an
    error that names it. With ``'skip'`` training uses the next sample instead,
    and tests use a blank image of the same size with ``corrupt=True``, which
    the metrics leave out; each file is logged once.

    Args:
        corrupt: 'fail' or 'skip'.
        data_root, data_prefix, metainfo, classes, indices, pipeline,
            test_mode, lazy_init, ...: as in MMPretrain's BaseDataset.
    Raises:
        ValueError: for an unknown policy.
    """

    def __init__(
        self,
        ann_file: str = '',
        data_root: str = '',
        corrupt: str = 'fail',
        **kwargs: Any,
    ) -> None:
        if corrupt not in ('fail', 'skip'):
            raise ValueError(
                f"corrupt is 'fail' or 'skip' in {type(self).__name__}, got "
                f'{corrupt!r}'
            )
        self.corrupt = corrupt
        super().__init__(
            ann_file=ann_file, data_root=osp.expanduser(data_root), **kwargs
        )

    def full_init(self) -> None:
        """Load the annotations."""
        if self._fully_initialized:
            return
        super().full_init()
        # Shared memory, so all data workers know the corrupt files.
        self._corrupt = torch.zeros(len(self), dtype=torch.bool)
        self._corrupt.share_memory_()

    @property
    def corrupt_count(self) -> int:
        """Number of samples that could not be decoded so far."""
        return int(self._corrupt.sum())

    def __getitem__(self, idx: int) -> dict:
        """The sample, or in training the next decodable one."""
        attempts = min(len(self), self.max_refetch + 1)
        data = self.prepare_data(idx)
        for offset in range(1, attempts):
            if data is not None:
                break
            data = self.prepare_data((idx + offset) % len(self))
        if data is None:
            raise ValueError(
                f'none of {attempts} samples from number {idx} on could be '
                f'prepared; {self.corrupt_count} files are corrupt'
            )
        return data

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on a sample; None for a corrupt training file."""
        try:
            return self.pipeline(self.get_data_info(idx))
        except UnreadableFile as error:
            if self.corrupt == 'fail':
                raise UnreadableFile(
                    f"{error}; get it again, or set corrupt='skip' in "
                    f'{type(self).__name__}'
                ) from error
            self._note(idx, error)
        if not self.test_mode:
            return None
        info = self.get_data_info(idx)
        height, width = self.image_size(info)
        return self.pipeline(
            dict(info, corrupt=True, height=height, width=width)
        )

    def image_size(self, info: dict) -> tuple[int, int]:
        """Height and width of an image that cannot be decoded."""
        return info['height'], info['width']

    def _note(self, idx: int, error: UnreadableFile) -> None:
        if not self._corrupt[idx]:
            self._corrupt[idx] = True
            print_log(
                f'{error}; it is passed over ({self.corrupt_count} so far)',
                'current',
                logging.WARNING,
            )

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [
            f'Annotation file: \t{self.ann_file}',
            f'Folders: \t{self.data_prefix}',
        ]


class DetectionDataset(DenseDataset):
    """Images with boxes.

    Args:
        keep_empty: keep images without a box in training. Tests keep them
            always.
        ann_file, data_root, corrupt, ...: as in `DenseDataset`.
    """

    def __init__(self, *args: Any, keep_empty: bool = False, **kwargs: Any):
        self.keep_empty = keep_empty
        super().__init__(*args, **kwargs)

    def filter_data(self) -> list[dict]:
        """Remove images without a box from the training set."""
        if self.test_mode or self.keep_empty:
            return self.data_list
        kept = [info for info in self.data_list if len(info['labels'])]
        if len(kept) < len(self.data_list):
            print_log(
                f'{len(self.data_list) - len(kept)} of the '
                f'{len(self.data_list)} images of {type(self).__name__} have '
                'no box and are left out; keep_empty=True keeps them',
                'current',
            )
        return kept

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes in an image, for MMEngine's ClassBalancedDataset."""
        return np.unique(self.get_data_info(idx)['labels']).tolist()


class BoxCleaner:
    """Clip boxes to their images and find those to drop.

    Boxes of less than a pixel in width or height are dropped. Changes are
    counted and logged once.
    """

    def __init__(self) -> None:
        self.clipped: list[str] = []
        self.dropped: list[str] = []

    def __call__(
        self, boxes: np.ndarray, size: tuple[int, int], image: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The clipped boxes, and the mask of boxes to keep.

        Args:
            boxes: (x1, y1, x2, y2) in pixels.
            size: height and width of the image.
            image: name of the image, for the log.
        Shape:
            boxes: (n, 4); returns (n, 4) float32 and (n,) bool.
        """
        height, width = size
        inside = boxes.clip(0, [width, height, width, height])
        kept = (inside[:, 2:] - inside[:, :2] >= 1).all(axis=1)
        # Tolerance: annotations are rounded to hundredths of a pixel.
        moved = (np.abs(inside - boxes) > 0.1).any(axis=1)
        self._note(self.clipped, boxes[moved & kept], image)
        self._note(self.dropped, boxes[~kept], image)
        return inside.astype(np.float32), kept

    @staticmethod
    def _note(found: list[str], boxes: np.ndarray, image: str) -> None:
        for box in boxes:
            found.append(f'{np.round(box, 1).tolist()} in {image}')

    def log(self) -> None:
        """Log the changes, if there are any."""
        for found, what in (
            (self.clipped, 'reach out of their image and are clipped'),
            (self.dropped, 'have less than a pixel in it and are dropped'),
        ):
            if found:
                print_log(
                    f'{len(found)} boxes (x1, y1, x2, y2) {what}: '
                    f'{shown(found)}',
                    'current',
                    logging.WARNING,
                )


def require_files(paths: Sequence[str], change: str) -> None:
    """Raise FileNotFoundError with names and count if files are missing.

    Each folder is listed once, which is much faster than testing each file.
    Files on remote storage (``://``) are not checked.

    Args:
        paths: the files.
        change: advice for the error message.
    """
    folders = defaultdict(set)
    for path in paths:
        if '://' not in path:
            folder, name = osp.split(path)
            folders[folder].add(name)
    missing = []
    for folder, names in folders.items():
        there = os.listdir(folder or '.') if osp.isdir(folder or '.') else ()
        missing += [osp.join(folder, x) for x in sorted(names - set(there))]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(paths)} files are not there '
            f'({shown(missing)}); {change}'
        )
