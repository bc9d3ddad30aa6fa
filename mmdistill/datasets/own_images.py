from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mmengine import fileio
from mmpretrain.datasets import CustomDataset

from mmdistill.datasets.image_files import SUFFIXES, examine
from mmdistill.datasets.list_file import class_names, read_list
from mmdistill.datasets.transforms.loading import UnreadableFile
from mmdistill.registry import DATASETS
from mmdistill.utils.text import shown


@DATASETS.register_module()
class OwnImages(CustomDataset):
    """Images of a folder of one's own: class folders, a list, or no labels.

    MMPretrain's ``CustomDataset`` with more kinds of files, lists with names
    of classes, and errors that name the file or the class. Sub-folders of a
    class folder are read, too.

    Args:
        data_root: the folder.
        data_prefix: a folder in it, such as 'train'.
        ann_file: a list in place of class folders; see `read_list`. Images
            are named from ``data_root`` and ``data_prefix``.
        with_label: False for images of no classes, at any depth.
        metainfo: ``dict(classes=[...])`` where not all classes are in the
            list, or their order matters.
        extensions, pipeline, ...: as of ``CustomDataset``.
    Raises:
        FileNotFoundError: if the folder or the list is not there.
        ValueError: if there are fewer than two classes, or others than
            ``metainfo`` has.
        UnreadableFile: from ``dataset[i]``, if a file cannot be decoded.
    Config:
        train_dataloader=dict(dataset=dict(
            type='OwnImages', data_root='data/own', data_prefix='train',
            pipeline=train_pipeline))
    """

    def __init__(
        self, *args: Any, extensions: tuple[str, ...] = SUFFIXES, **kwargs: Any
    ) -> None:
        super().__init__(*args, extensions=extensions, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict an image: ``img_path``, and ``gt_label`` with labels."""
        folder = self.img_prefix
        if not fileio.isdir(folder):
            raise FileNotFoundError(
                f'{type(self).__name__} looks for images in {folder!r}, which '
                'is no folder; set data_root and data_prefix'
            )
        if self.ann_file:
            return self._listed()
        data = super().load_data_list()
        if self.with_label:
            self._require_classes(self.CLASSES)
        return data

    def _find_samples(self) -> list:
        """MMPretrain's, after a comparison of the classes by name."""
        if self.with_label and self.CLASSES is not None:
            found = [
                name
                for name in os.listdir(self.img_prefix)
                if os.path.isdir(os.path.join(self.img_prefix, name))
            ]
            if sorted(found) != sorted(self.CLASSES):
                raise ValueError(
                    f'the class folders in {self.img_prefix!r} are not the '
                    f'classes of metainfo: only there are '
                    f'[{shown(sorted(set(found) - set(self.CLASSES)))}], only '
                    f'here [{shown(sorted(set(self.CLASSES) - set(found)))}]'
                )
        return super()._find_samples()

    def _listed(self) -> list[dict]:
        rows = read_list(self.ann_file)
        if self.with_label:
            names = self.CLASSES or class_names(row.label for row in rows)
            self._metainfo['classes'] = tuple(names)
            self._require_classes(names)
            numbers = {name: number for number, name in enumerate(names)}
            unknown = {r.label for r in rows} - {None} - set(numbers)
            if unknown:
                raise ValueError(
                    f'the list {self.ann_file!r} has the classes '
                    f'[{shown(sorted(unknown))}], which metainfo.classes '
                    f'({shown(names)}) does not; add them there'
                )
        data = []
        for path, label in rows:
            place = fileio.join_path(self.img_prefix, path)
            info = dict(img_path=path if os.path.isabs(path) else place)
            if self.with_label:
                info['gt_label'] = -1 if label is None else numbers[label]
            data.append(info)
        missing = [i['img_path'] for i in data if not self._is_there(i)]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(data)} images of the list '
                f'{self.ann_file!r} are not there: {shown(missing)}; correct '
                'data_root, or take their lines away'
            )
        return data

    @staticmethod
    def _is_there(info: dict) -> bool:
        return fileio.isfile(info['img_path'])

    def _require_classes(self, names: Any) -> None:
        if len(names or ()) < 2:
            raise ValueError(
                f'{self.ann_file or self.img_prefix!r} has the classes '
                f'{list(names or ())}; to tell classes apart takes two. Make '
                'a folder for each class, or set with_label=False and choose '
                'a method that needs no labels'
            )

    def prepare_data(self, idx: int) -> Any:
        """Prepare a sample; on failure, name a file that is unreadable."""
        try:
            return super().prepare_data(idx)
        except Exception as error:
            path = self.get_data_info(idx)['img_path']
            _, bad = examine([Path(path)])
            if not bad:
                raise
            raise UnreadableFile(
                f'{str(path)!r}, sample {idx} of {type(self).__name__}: '
                f'{bad[Path(path)]}; replace the file or take it away'
            ) from error
