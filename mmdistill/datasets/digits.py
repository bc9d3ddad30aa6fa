from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmdistill.registry import DATASETS


@DATASETS.register_module()
class Digits(BaseDataset):
    """The 1797 handwritten digits that scikit-learn ships, 8x8, one channel.

    The split is not random: in file order, the first half (rounded) of each
    class is for training and the rest for testing, 898 and 899 images. The
    file is ordered by writer, so this is harder than a random split.

    Args:
        split: 'train' or 'test'.
        labelled_per_class: number of images of each digit that keep their
            label, evenly spaced in file order; the others get -1. None for
            all.
        drop_unlabelled: leave out the images without a label.
        groups: the digits of each class, such as ``((0, 2, 4, 6, 8), (1, 3,
            5, 7, 9))`` for even and odd. None for one class per digit.
        pipeline: transforms; the image is ``img``, (8, 8, 1) uint8, 0 to 240.
    Raises:
        ValueError: for an unknown split, more labels than images of a digit,
            or groups that do not contain every digit exactly once.
    """

    METAINFO = dict(classes=tuple('0123456789'))

    def __init__(
        self,
        split: str = 'train',
        labelled_per_class: int | None = None,
        drop_unlabelled: bool = False,
        groups: Sequence[Sequence[int]] | None = None,
        pipeline: list = (),
        **kwargs,
    ) -> None:
        if split not in ('train', 'test'):
            raise ValueError(
                f"Digits has split='train' and split='test', got {split!r}"
            )
        self.split = split
        self.labelled_per_class = labelled_per_class
        self.drop_unlabelled = drop_unlabelled
        self.label_of = self._numbered(groups)
        if groups is not None:
            kwargs['metainfo'] = dict(
                classes=self.class_names(groups),
                **(kwargs.get('metainfo') or {}),
            )
        super().__init__(ann_file='', pipeline=pipeline, **kwargs)

    @classmethod
    def class_names(
        cls, groups: Sequence[Sequence[int]] | None = None, **_: Any
    ) -> tuple[str, ...]:
        """Names of the classes that these settings give."""
        if groups is None:
            return cls.METAINFO['classes']
        return tuple('/'.join(map(str, group)) for group in groups)

    def load_data_list(self) -> list[dict]:
        """One dict per image: ``img``, ``gt_label`` and ``img_id``."""
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        # The file has values 0 to 16; times 15 they fill the range of uint8.
        images = (images.reshape(-1, 8, 8, 1) * 15).astype(np.uint8)
        chosen, labeled = [], set()
        for number in range(10):
            of_class = np.flatnonzero(labels == number)
            half = round(len(of_class) / 2)
            of_class = (
                of_class[:half] if self.split == 'train' else of_class[half:]
            )
            chosen.extend(of_class)
            labeled.update(of_class[self._spaced(len(of_class))])
        return [
            dict(
                img=images[i],
                gt_label=self.label_of[labels[i]] if i in labeled else -1,
                img_id=int(i),
            )
            for i in sorted(chosen)
            if i in labeled or not self.drop_unlabelled
        ]

    @staticmethod
    def _numbered(groups: Sequence[Sequence[int]] | None) -> dict[int, int]:
        """The class number of each digit."""
        if groups is None:
            return {digit: digit for digit in range(10)}
        members = [digit for group in groups for digit in group]
        if sorted(members) != list(range(10)):
            raise ValueError(
                'Digits.groups must hold each of the digits 0 to 9 once, got '
                f'{groups}'
            )
        return {
            digit: number
            for number, group in enumerate(groups)
            for digit in group
        }

    def _spaced(self, available: int) -> np.ndarray:
        """Evenly spaced positions of a class's labeled images."""
        count = self.labelled_per_class
        if count is None:
            return np.arange(available)
        if not 0 < count <= available:
            raise ValueError(
                f'Digits(labelled_per_class={count}) is out of range: a class '
                f'of the {self.split} split has {available} images'
            )
        return np.arange(count) * available // count

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [
            f'Split: \t{self.split}',
            f'Labeled per class: \t{self.labelled_per_class or "all"}',
        ]
