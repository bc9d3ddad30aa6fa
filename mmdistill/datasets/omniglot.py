from __future__ import annotations

import os.path as osp
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmpretrain.datasets import BaseDataset

from mmdistill.registry import DATASETS
from mmdistill.utils.text import shown

# The end of a path: alphabet, character, drawing. In archives there is a
# folder around it, and there are other files.
_DRAWING = re.compile(r'(?:^|/)([^/]+)/([^/]+)/(\d+_\d+\.png)$')


@DATASETS.register_module()
class Omniglot(BaseDataset):
    """Hand-drawn characters of many alphabets, 20 drawings of each.

    It reads the original layout, ``alphabet/character01/0001_01.png``, from
    the published archives or from extracted folders. A class is a character
    in one orientation. Classes are numbered in the order of their names, such
    as ``Greek/character01/rot090`` (``Greek/character01`` if there is one
    orientation). A drawing that is in several files, as in the small
    background sets, is used once.

    Papers: Lake et al., Human-Level Concept Learning through Probabilistic
    Program Induction, Science 350, 2015,
    https://doi.org/10.1126/science.aab3050. Rotations as further classes:
    Vinyals et al., Matching Networks for One Shot Learning, NeurIPS 2016,
    https://arxiv.org/abs/1606.04080.

    Args:
        data_root: folder of the archives.
        files: archives or folders in it; ``.zip`` may be left out.
        only_alphabets: alphabets to use; None for all.
        exclude_alphabets: alphabets to leave out.
        class_list: text file with the characters to use, one per line:
            ``Greek/character01``, or ``Greek/character01/rot090`` for one
            orientation, as in the lists that few-shot papers share. None for
            all.
        rotations: orientations in degrees, counter-clockwise; each one but 0
            adds another class per character.
        pipeline: transforms; the image is ``img``, (105, 105) uint8, strokes
            0 and paper 255.
        metainfo, indices, lazy_init, ...: as in MMPretrain's BaseDataset.
    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged or has no drawings, an alphabet or a
            listed character does not exist, no class is left, or a rotation is
            not a multiple of 90 degrees.
    Config:
        dataset=dict(
            type='Omniglot',
            data_root='data/omniglot',
            files=['images_background_small1'],
            rotations=(0, 90, 180, 270),
            pipeline=[dict(type='Resize', scale=(28, 28))])
    """

    def __init__(
        self,
        data_root: str = '',
        files: Sequence[str] = ('images_background',),
        only_alphabets: Sequence[str] | None = None,
        exclude_alphabets: Sequence[str] = (),
        class_list: str | None = None,
        rotations: Sequence[int] = (0,),
        pipeline: Sequence = (),
        **kwargs: Any,
    ) -> None:
        if not rotations or set(rotations) - {0, 90, 180, 270}:
            raise ValueError(
                'Omniglot.rotations are some of 0, 90, 180 and 270 degrees, '
                f'got {tuple(rotations)}'
            )
        self.files = [files] if isinstance(files, str) else list(files)
        self.only_alphabets = only_alphabets
        self.exclude_alphabets = exclude_alphabets
        self.class_list = class_list
        self.rotations = sorted(set(rotations))
        super().__init__(
            ann_file='', data_root=data_root, pipeline=pipeline, **kwargs
        )

    def load_data_list(self) -> list[dict]:
        """One dict per drawing and orientation.

        All files are read at once (10 MB for the whole of Omniglot): ``png``
        is the encoded file, ``degrees`` its rotation.
        """
        drawings = self._drawings()
        listed = None if self.class_list is None else self._listed(drawings)
        classes = {}
        for character in sorted(drawings):
            for degrees in self.rotations:
                name = turned = f'{character}/rot{degrees:03d}'
                if len(self.rotations) == 1:
                    name = character
                if listed is None or listed & {character, turned}:
                    classes[name] = character, degrees
        if not classes:
            raise ValueError(
                f'no character is left of {self.files}; change '
                'only_alphabets, exclude_alphabets, class_list or rotations'
            )
        self._metainfo.setdefault('classes', tuple(classes))
        return [
            dict(
                png=png,
                degrees=degrees,
                gt_label=label,
                img_id=f'{character}/{file}',
            )
            for label, (character, degrees) in enumerate(classes.values())
            for file, png in sorted(drawings[character].items())
        ]

    def prepare_data(self, idx: int) -> Any:
        """Decode and rotate a drawing, then run the pipeline."""
        info = self.get_data_info(idx)
        image = mmcv.imfrombytes(info.pop('png'), flag='grayscale')
        image = np.rot90(image, info.pop('degrees') // 90)
        return self.pipeline(dict(info, img=np.ascontiguousarray(image)))

    def _drawings(self) -> dict[str, dict[str, bytes]]:
        """The drawings of the selected alphabets, by character and file."""
        drawings: dict[str, dict[str, bytes]] = {}
        known = set()
        for name in self.files:
            path = self._find(name)
            with _opened(path) as (names, read):
                found = [m for m in map(_DRAWING.search, sorted(names)) if m]
                for match in found:
                    alphabet, character, file = match.groups()
                    known.add(alphabet)
                    if not self._wants(alphabet):
                        continue
                    own = drawings.setdefault(f'{alphabet}/{character}', {})
                    if file not in own:
                        own[file] = read(match.string)
            if not found:
                raise ValueError(
                    f'{str(path)!r} has no drawing; Omniglot wants files such '
                    'as Greek/character01/0394_01.png in it'
                )
        named = {*(self.only_alphabets or ()), *self.exclude_alphabets}
        if named - known:
            raise ValueError(
                f'{self.files} have no alphabet {sorted(named - known)}, '
                f'only {sorted(known)}; correct only_alphabets and '
                'exclude_alphabets'
            )
        return drawings

    def _wants(self, alphabet: str) -> bool:
        only = self.only_alphabets
        return alphabet not in self.exclude_alphabets and (
            only is None or alphabet in only
        )

    def _find(self, name: str) -> Path:
        """The path of the archive or folder that ``files`` names."""
        path = Path(osp.expanduser(osp.join(self.data_root, name)))
        if not path.exists() and path.suffix != '.zip':
            path = path.with_name(f'{path.name}.zip')
        if not path.exists():
            raise FileNotFoundError(
                f'Omniglot has neither the archive {str(path)!r} nor a folder '
                'in its place; set data_root and files'
            )
        return path

    def _listed(self, drawings: dict) -> set[str]:
        """The lines of the class list; every character must exist."""
        path = osp.expanduser(self.class_list)
        if not osp.isfile(path):
            raise FileNotFoundError(
                f'class_list={self.class_list!r} of Omniglot does not exist; '
                'give a text file with one character a line'
            )
        text = Path(path).read_text()
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        wrong = [
            x for x in lines if '/'.join(x.split('/')[:2]) not in drawings
        ]
        if wrong:
            raise ValueError(
                f'{len(wrong)} lines of class_list={self.class_list!r} name '
                f'no character of {self.files} ({shown(wrong)}); add the file '
                'that has them to files'
            )
        return set(lines)

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [
            f'Files: \t{self.files} in {self.data_root!r}',
            f'Rotations: \t{self.rotations}',
        ]


@contextmanager
def _opened(
    path: Path,
) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The file names in a folder or an archive, and a function to read one."""
    if path.is_dir():
        names = [x.relative_to(path).as_posix() for x in path.rglob('*.png')]
        yield names, lambda name: (path / name).read_bytes()
        return
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive.namelist(), archive.read
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f'{str(path)!r} is damaged or no zip archive ({error}); get the '
            'file again'
        ) from error
