from __future__ import annotations

import os
from collections.abc import Iterable

from mmdistill.predicting.given_files import find_pictures
from mmdistill.predicting.prediction_table import (
    SUFFIXES,
    line_of,
    record_of,
    write_table,
)
from mmdistill.predicting.predictor import load
from mmdistill.utils.progress import is_terminal, progress


def predict_files(
    student: str | os.PathLike,
    inputs: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike | None = None,
    top: int = 5,
    batch_size: int = 32,
    device: str = 'cpu',
    config: str | os.PathLike | None = None,
    skip_errors: bool = False,
) -> list[dict]:
    """Print what a student says of pictures, a line each.

    Args:
        student: its file, as of `load`.
        inputs: files, folders and patterns, see `find_pictures`.
        out: a file to write, too: .csv or .json.
        top: classes or objects of a picture that are shown; a .csv or .json
            has as many classes, and all objects.
        batch_size, skip_errors: as of `Predictor`.
        device, config: as of `load`.
    Returns:
        what a .json has: a dict of plain numbers a picture.
    Raises:
        ValueError: for a file of another suffix, no ``top``, or a student
            without classes.
        FileNotFoundError: for what is not there.
    """
    if out is not None and not str(out).lower().endswith(SUFFIXES):
        raise ValueError(
            f'out is {str(out)!r} and should end in {" or ".join(SUFFIXES)}'
        )
    if top < 1:
        raise ValueError(f'top is 1 or more, got {top}')
    paths = find_pictures(inputs)
    predictor = load(student, device, config)
    if predictor.kind == 'encoder':
        raise ValueError(
            f'{predictor.name} holds an encoder, which knows no classes; '
            'get its features by tools/embed.py (mmdistill embed), or train '
            'a classifier on it'
        )
    answers = predictor.stream(paths, batch_size, skip_errors)
    records = []
    # Elsewhere than on a terminal the lines say how far it is.
    told = progress(paths, 'predicting') if is_terminal() else paths
    for path, answer in zip(told, answers, strict=True):
        record = record_of(path, answer, predictor.classes, top)
        print(line_of(record, top))
        records.append(record)
    if out is not None:
        write_table(records, os.path.expanduser(out))
    return records
