from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Any

from mmengine import fileio
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets.custom import find_folders, get_samples
from PIL import Image

from mmdistill.datasets.transforms.loading import UnreadableFile
from mmdistill.registry import DATASETS
from mmdistill.utils.text import shown

#: Per side: the key in ``data_prefix``, and of the file's path in a sample.
_STUDENT, _TEACHER = 'img_path', 'teacher_img_path'


@DATASETS.register_module()
class PairedImages(CustomDataset):
    """Samples of two files: one for the student, one for the teacher.

    It is for privileged-information distillation in which the teacher sees
    another modality. A sample has ``img_path`` and ``teacher_img_path``;
    `TeacherView` loads the latter. Without a teacher folder the samples have
    the student's file only, for validation and tests.

    Files are paired in one of two ways. With the same class folders on both
    sides, they are paired by their relative path without the suffix::

        student/cat/001.jpg    teacher/cat/001.png

    Or an annotation file lists one sample per line: the student's file, the
    teacher's file and the class number (-1 if unknown), separated by tabs, or
    by spaces if no name contains one. All files must exist when the dataset is
    built.

    Args:
        data_prefix: ``img_path`` and ``teacher_img_path``, the folders of the
            student's and of the teacher's files, below ``data_root``.
        ann_file: the annotation file; empty to use class folders.
        with_label: False for folders without classes, or for lines without a
            class number.
        data_root, extensions, metainfo, pipeline, ...: as in MMPretrain's
            ``CustomDataset``. An annotation file with classes needs
            ``metainfo=dict(classes=...)``.
    Raises:
        FileNotFoundError: if a folder or a file of a pair is missing.
        ValueError: if class folders differ, two files have the same path
            without suffix, or a line is malformed.
        UnreadableFile: from ``dataset[i]``, if a file cannot be decoded.
    Config:
        train_dataloader=dict(dataset=dict(
            type='PairedImages',
            data_root='data/pairs',
            data_prefix=dict(
                img_path='train/color', teacher_img_path='train/depth'),
            pipeline=train_pipeline))
    """

    def load_data_list(self) -> list[dict]:
        """One dict per sample: its files, and its label if there is one."""
        for key in (_STUDENT, _TEACHER):
            self._require_folder(key)
        rows = self._listed() if self.ann_file else self._paired()
        return [
            {key: value for key, value in row.items() if value is not None}
            for row in rows
        ]

    def prepare_data(self, idx: int) -> Any:
        """Prepare a sample; on failure, name the file that is unreadable."""
        try:
            return super().prepare_data(idx)
        except Exception as error:
            info = self.get_data_info(idx)
            for key in (_STUDENT, _TEACHER):
                if key in info and not _is_image(info[key]):
                    raise UnreadableFile(
                        f'{info[key]!r} of data_prefix.{key}, sample {idx} of '
                        f'{type(self).__name__}, cannot be decoded; replace '
                        'it, or take both files of the pair away'
                    ) from error
            raise

    @property
    def has_teacher(self) -> bool:
        """Whether samples have a teacher file."""
        return _TEACHER in self.data_prefix

    def _require_folder(self, key: str) -> None:
        folder = self.data_prefix.get(key)
        if folder and not fileio.isdir(folder):
            raise FileNotFoundError(
                f'data_prefix.{key} of {type(self).__name__} is the folder '
                f'{folder!r}, which does not exist; set data_root and '
                f'data_prefix.{key}'
            )

    def _paired(self) -> list[dict]:
        """Pairs of files with the same relative path without suffix."""
        students = self._find_samples()
        if not self.with_label:
            students = [(name, None) for name in students]
        names = {_STUDENT: self._by_stem(_STUDENT, [n for n, _ in students])}
        if self.has_teacher:
            names[_TEACHER] = self._by_stem(_TEACHER, self._teachers())
            self._refuse_single(names)
        return [
            dict(gt_label=label, **self._files(names, _stem(name)))
            for name, label in students
        ]

    def _teachers(self) -> list[str]:
        """The teacher's files; raise if the class folders differ."""
        folder, classes = self.data_prefix[_TEACHER], None
        if self.with_label:
            _, classes = find_folders(folder)
            ours = set(self.folder_to_idx)
            if ours != set(classes):
                raise ValueError(
                    f'the class folders differ: data_prefix.{_STUDENT} '
                    f'({self.img_prefix!r}) alone has '
                    f'[{shown(sorted(ours - set(classes)))}], '
                    f'data_prefix.{_TEACHER} ({folder!r}) alone has '
                    f'[{shown(sorted(set(classes) - ours))}]; give both the '
                    'same'
                )
        found, _ = get_samples(folder, classes, self.is_valid_file)
        return [name for name, _ in found] if self.with_label else found

    def _by_stem(self, key: str, names: Iterable[str]) -> dict[str, str]:
        """The names by their path without suffix; raise for duplicates."""
        found: dict[str, str] = {}
        for name in names:
            other = found.setdefault(_stem(name), name)
            if other != name:
                raise ValueError(
                    f'{other!r} and {name!r} of data_prefix.{key} '
                    f'({self.data_prefix[key]!r}) would both be one half of '
                    'the same pair; keep one of them'
                )
        return found

    def _refuse_single(self, names: dict[str, dict[str, str]]) -> None:
        for key, other in ((_STUDENT, _TEACHER), (_TEACHER, _STUDENT)):
            single = sorted(names[key].keys() - names[other].keys())
            if single:
                raise FileNotFoundError(
                    f'{len(single)} of {len(names[key])} files of '
                    f'data_prefix.{key} ({self.data_prefix[key]!r}) have no '
                    f'other half in data_prefix.{other} '
                    f'({self.data_prefix[other]!r}): '
                    f'{shown([names[key][stem] for stem in single])}; add the '
                    'missing files, or take these away'
                )

    def _files(self, names: dict[str, dict[str, str]], stem: str) -> dict:
        return {
            key: fileio.join_path(self.data_prefix[key], of_side[stem])
            for key, of_side in names.items()
        }

    def _listed(self) -> list[dict]:
        """Pairs from the annotation file."""
        lines = fileio.list_from_file(self.ann_file)
        rows = [
            self._row(number, line)
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        for key in (_STUDENT, _TEACHER):
            paths = [row[key] for row in rows if key in row]
            missing = [path for path in paths if not fileio.isfile(path)]
            if missing:
                raise FileNotFoundError(
                    f'{len(missing)} of {len(paths)} files that '
                    f'ann_file={self.ann_file!r} names for data_prefix.{key} '
                    f'are missing: {shown(missing)}; add them, or take their '
                    'lines away'
                )
        return rows

    def _row(self, number: int, line: str) -> dict:
        fields = line.strip().split('\t' if '\t' in line else None)
        wanted = ["the student's file", "the teacher's file"]
        wanted += ['the class'] if self.with_label else []
        try:
            row = dict(
                zip((_STUDENT, _TEACHER, 'gt_label'), fields, strict=False)
            )
            if len(fields) != len(wanted):
                raise ValueError
            label = int(row['gt_label']) if self.with_label else None
        except ValueError:
            raise ValueError(
                f'line {number} of ann_file={self.ann_file!r} is {line!r}; '
                f'expected {", ".join(wanted)}, separated by tabs, or by '
                'blanks if no name contains one'
            ) from None
        classes = self.CLASSES
        if label is not None and classes and not -1 <= label < len(classes):
            raise ValueError(
                f'line {number} of ann_file={self.ann_file!r} has the class '
                f'{label}, but there are {len(classes)}, numbered from 0; -1 '
                'is an unknown one'
            )
        names = {_STUDENT: {'': fields[0]}}
        if self.has_teacher:
            names[_TEACHER] = {'': fields[1]}
        return dict(gt_label=label, **self._files(names, ''))

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        folder = self.data_prefix.get(_TEACHER, 'none')
        return [*super().extra_repr(), f"Teacher's images: \t{folder}"]


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _is_image(path: str) -> bool:
    try:
        Image.open(io.BytesIO(fileio.get(path))).load()
    except Exception:
        return False
    return True
