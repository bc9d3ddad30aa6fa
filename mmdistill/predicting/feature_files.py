from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Iterable, Sequence

import numpy as np
from mmengine.logging import print_log

from mmdistill.checkpoints import replacing
from mmdistill.predicting.given_files import find_pictures
from mmdistill.predicting.predictor import load
from mmdistill.utils.progress import progress
from mmdistill.utils.text import shown

_SUFFIXES = ('.npz', '.npy', '.csv')


def embed_files(
    student: str | os.PathLike,
    inputs: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    batch_size: int = 32,
    device: str = 'cpu',
    config: str | os.PathLike | None = None,
    normalize: bool = False,
    skip_errors: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """Write the features of pictures into a file.

    Args:
        student: the file of a classifier or an encoder, as of `load`.
        inputs: files, folders and patterns, see `find_pictures`.
        out: .npz with ``features`` (N, D) and ``paths`` (N,), .npy with the
            features alone, or .csv with a path and its feature a row.
        batch_size: images that go through the network at once.
        device, config: as of `load`.
        normalize: features of length 1.
        skip_errors: leave out pictures that cannot be read, and say so.
    Returns:
        the features, float32, and the paths that they are of.
    Raises:
        ValueError: for a file of another suffix, or a student without a
            feature.
        FileNotFoundError: for what is not there.
    """
    out = os.path.expanduser(os.fspath(out))
    if not out.lower().endswith(_SUFFIXES):
        raise ValueError(
            f'out is {out!r} and should end in {" or ".join(_SUFFIXES)}'
        )
    paths = find_pictures(inputs)
    predictor = load(student, device, config)
    answers = predictor.stream_features(
        paths, batch_size, normalize, skip_errors
    )
    told = progress(paths, 'embedding')
    rows, errors = {}, []
    for path, answer in zip(told, answers, strict=True):
        if 'feature' in answer:
            rows[path] = answer['feature']
        else:
            errors.append(answer['error'])
    if errors:
        print_log(
            f'{len(errors)} of {len(paths)} pictures are left out: '
            f'{shown(errors, 4)}',
            logger='current',
            level=logging.WARNING,
        )
    if not rows:
        raise ValueError(
            f'none of {len(paths)} pictures could be read; {out!r} is not '
            'written'
        )
    features, kept = np.stack(list(rows.values())), list(rows)
    _write(features, kept, out)
    return features, kept


def _write(features: np.ndarray, paths: Sequence[str], out: str) -> None:
    with replacing(out) as file:
        if out.lower().endswith('.npz'):
            np.savez(file, features=features, paths=np.array(paths))
        elif out.lower().endswith('.npy'):
            np.save(file, features)
        else:
            text = io.TextIOWrapper(
                file, 'utf-8', 'surrogateescape', newline='\n'
            )
            writer = csv.writer(text, lineterminator='\n')
            columns = [f'f{i}' for i in range(features.shape[1])]
            writer.writerow(['path', *columns])
            for path, row in zip(paths, features.tolist(), strict=True):
                writer.writerow([path, *row])
            text.flush()
            text.detach()
