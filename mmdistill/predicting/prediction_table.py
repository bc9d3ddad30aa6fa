"""Answers of a student as lines, as rows of a table, and for JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmdistill.checkpoints import replacing
from mmdistill.predicting.plain_answers import Names, name_of

#: What `write_table` writes.
SUFFIXES = ('.csv', '.json')


def record_of(path: str, answer: dict, names: Names, top: int) -> dict:
    """What a file says of one picture, of numbers and text alone.

    A classifier's has its ``top`` labels; a detector's its masks, if any, as
    COCO's run lengths; a segmentor's the share of every class in the picture.
    """
    record: dict[str, Any] = dict(path=path)
    if 'label' in answer:
        scores = answer['scores']
        best = np.argsort(-scores, kind='stable')[:top].tolist()
        record.update(
            label=answer['label'], name=answer['name'], score=answer['score']
        )
        record['top'] = [
            dict(label=i, name=name_of(i, names), score=float(scores[i]))
            for i in best
        ]
    elif 'boxes' in answer:
        for key in ('boxes', 'labels', 'scores'):
            record[key] = answer[key].tolist()
        record['names'] = answer['names']
        if 'masks' in answer:
            record['masks'] = [_run_lengths(mask) for mask in answer['masks']]
    elif 'classes' in answer:
        labels, counts = np.unique(answer['classes'], return_counts=True)
        order = np.argsort(-counts, kind='stable')
        record['shares'] = [
            dict(
                label=int(labels[i]),
                name=name_of(int(labels[i]), names),
                share=float(counts[i] / counts.sum()),
            )
            for i in order
        ]
    else:
        record['error'] = answer['error']
    return record


def line_of(record: dict, top: int) -> str:
    """One line about a picture, with its ``top`` classes or objects."""
    if 'error' in record:
        return f'{record["path"]}: error: {record["error"]}'
    if 'boxes' in record:
        rows = [
            f'{_called(row)} {row["score"]:.3f}' for row in _objects(record)
        ]
        count = f'{len(rows)} object{"s" * (len(rows) != 1)}'
        parts = [count, *rows[:top]]
    elif 'shares' in record:
        parts = [
            f'{_called(x)} {x["share"]:.1%}' for x in record['shares'][:top]
        ]
    else:
        parts = [f'{_called(x)} {x["score"]:.3f}' for x in record['top']]
    return f'{record["path"]}: {", ".join(parts)}'


def write_table(records: Sequence[dict], out: str) -> None:
    """Write .json, a list of the records, or .csv.

    A row of the table is a picture with its best classes, an object of a
    picture, or a class in a picture.
    """
    if out.lower().endswith('.json'):
        text = json.dumps(records, indent=1) + '\n'
    else:
        rows = [row for record in records for row in _rows(record)]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        stream = io.StringIO()
        writer = csv.DictWriter(stream, columns, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
        text = stream.getvalue()
    with replacing(out) as file:
        # a file's name need not be text
        file.write(text.encode('utf-8', 'surrogateescape'))


def _rows(record: dict) -> Iterable[dict]:
    path = dict(path=record['path'])
    if 'boxes' in record:
        corners = ('x1', 'y1', 'x2', 'y2')
        yield from [
            path | dict(zip(corners, box, strict=True)) | row
            for box, row in zip(record['boxes'], _objects(record), strict=True)
        ] or [path]
    elif 'shares' in record:
        yield from (path | share for share in record['shares'])
    elif 'top' in record:
        row = dict(path)
        for place, one in enumerate(record['top'], 1):
            end = '' if place == 1 else f'_{place}'
            row |= {f'{key}{end}': value for key, value in one.items()}
        yield row
    else:
        yield record


def _objects(record: dict) -> list[dict]:
    columns = record['labels'], record['names'], record['scores']
    return [
        dict(label=label, name=name, score=score)
        for label, name, score in zip(*columns, strict=True)
    ]


def _called(row: dict) -> str:
    return str(row['label'] if row['name'] is None else row['name'])


def _run_lengths(mask: np.ndarray) -> dict:
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    size = [int(x) for x in encoded['size']]
    return dict(size=size, counts=encoded['counts'].decode('ascii'))
