from __future__ import annotations

from typing import Any

from mmengine.fileio import exists, get_file_backend, isdir, list_from_file
from mmpretrain.datasets import ImageNet
from mmpretrain.datasets.custom import find_folders

from mmdistill.registry import DATASETS
from mmdistill.utils.text import shown


@DATASETS.register_module()
class ImageNetSubset(ImageNet):
    """A listed subset of ImageNet's training set, for semi-supervised use.

    The list has one file name per line, like SimCLR's lists of 1 % and 10 %:
    ``n01440764_10026.JPEG`` is in the folder ``n01440764``. Classes are
    numbered by the sorted folders of the whole training set, as in
    MMPretrain's ``ImageNet``, so they agree with its validation set.

    Paper: the lists are those of Chen et al., A Simple Framework for
    Contrastive Learning of Visual Representations (SimCLR), ICML 2020,
    https://arxiv.org/abs/2002.05709.

    Args:
        list_file: text file with the names; empty lines are skipped.
        data_root, split, data_prefix, metainfo, pipeline, ...: as in
            MMPretrain's ``ImageNet``; ``data_root/split`` has the folders.
    Raises:
        FileNotFoundError: if the list, the folders or images are missing.
        ValueError: if the list is empty, a name belongs to no class, or the
            number of folders is not the number of classes.
    Config:
        train_dataloader=dict(dataset=dict(
            type='ImageNetSubset',
            data_root='data/imagenet',
            list_file='data/imagenet/1percent.txt',
            pipeline=train_pipeline))
    """

    def __init__(
        self,
        list_file: str,
        data_root: str = '',
        split: str = 'train',
        **kwargs: Any,
    ) -> None:
        self.list_file = list_file
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per line: ``img_path`` and ``gt_label``."""
        names = self._names()
        classes = self._classes()
        folders = [name.rsplit('_', 1)[0] for name in names]
        self._refuse(
            [
                name
                for name, folder in zip(names, folders, strict=True)
                if folder not in classes or folder == name
            ],
            ValueError,
            f'belong to none of the {len(classes)} class folders of '
            f'{self.img_prefix}; a line is the name of a training image, '
            'such as n01440764_10026.JPEG',
        )
        backend = get_file_backend(self.img_prefix, enable_singleton=True)
        paths = [
            backend.join_path(self.img_prefix, folder, name)
            for name, folder in zip(names, folders, strict=True)
        ]
        self._refuse(
            [path for path in paths if not backend.exists(path)],
            FileNotFoundError,
            'are not there; complete the training set, or correct data_root',
        )
        return [
            dict(img_path=path, gt_label=classes[folder])
            for path, folder in zip(paths, folders, strict=True)
        ]

    def _names(self) -> list[str]:
        if not exists(self.list_file):
            raise FileNotFoundError(
                f'list_file={self.list_file!r} of {type(self).__name__} does '
                'not exist; give a text file with one image name a line'
            )
        lines = [line.strip() for line in list_from_file(self.list_file)]
        names = [line for line in lines if line]
        if not names:
            raise ValueError(
                f'list_file={self.list_file!r} of {type(self).__name__} '
                'names no image'
            )
        return names

    def _classes(self) -> dict[str, int]:
        """The class number of each folder."""
        if not isdir(self.img_prefix):
            raise FileNotFoundError(
                f'{type(self).__name__} needs the class folders of the '
                f'training set in {self.img_prefix!r}, which does not exist; '
                'set data_root and split'
            )
        folders, numbers = find_folders(self.img_prefix)
        if len(folders) != len(self.CLASSES):
            raise ValueError(
                f'{self.img_prefix} has {len(folders)} class folders for '
                f'{len(self.CLASSES)} classes, so their numbers would not '
                'agree with other datasets; keep a folder for every class, '
                'or set metainfo=dict(classes=...)'
            )
        return numbers

    def _refuse(
        self, names: list[str], error: type[Exception], what: str
    ) -> None:
        if names:
            raise error(
                f'{len(names)} images of list_file={self.list_file!r} '
                f'({shown(names)}) {what}'
            )

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [*super().extra_repr(), f'List: \t{self.list_file}']
