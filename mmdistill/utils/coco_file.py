"""Read COCO annotation files with pycocotools; log what it prints."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator

import mmengine
from mmengine.fileio import exists
from mmengine.logging import print_log
from pycocotools.coco import COCO

_PARTS = ('images', 'annotations', 'categories')


def read_coco(ann_file: str) -> COCO:
    """Read an annotation file in COCO's format.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON, or lacks images, annotations or
            categories.
    """
    require_ann_file(ann_file)
    try:
        content = mmengine.load(ann_file, file_format='json')
    except ValueError as error:
        raise ValueError(
            f'ann_file={ann_file!r} is no JSON file ({error}); get it again'
        ) from error
    absent = [part for part in _PARTS if part not in content]
    if absent:
        raise ValueError(
            f"ann_file={ann_file!r} has no {absent}; a file in COCO's "
            f'format has {list(_PARTS)}'
        )
    coco = COCO()
    coco.dataset = content
    with prints_to_log(logging.DEBUG):
        coco.createIndex()
    return coco


def require_ann_file(ann_file: str) -> None:
    """Raise FileNotFoundError unless the annotation file exists."""
    if not exists(ann_file):
        raise FileNotFoundError(
            f'there is no annotation file {ann_file!r}; set data_root and '
            "ann_file, such as 'annotations/instances_train2017.json'"
        )


@contextlib.contextmanager
def prints_to_log(level: int = logging.INFO) -> Iterator[None]:
    """Redirect prints inside the context to the log."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        yield
    if printed.getvalue():
        print_log(f'\n{printed.getvalue().rstrip()}', 'current', level)
