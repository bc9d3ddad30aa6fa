"""Gains over the student alone: the papers', and those that we measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path


def tables(text: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Tables of a Markdown page with the heading above each."""
    heading, lines = '', []
    text = re.sub(r'^```.*?^```$', '', text, flags=re.M | re.S)
    for line in [*text.splitlines(), '']:
        if line.startswith('|'):
            lines.append(
                [cell.strip() for cell in line.strip().strip('|').split('|')]
            )
            continue
        if len(lines) > 2:
            head, _, *body = lines
            yield heading, [dict(zip(head, row, strict=False)) for row in body]
        lines = []
        if line.startswith('#'):
            heading = line.lstrip('# ')


def of_papers(
    readme: str, leaves: Iterable[str]
) -> list[tuple[str, list[float]]]:
    """Gains of the rows of some leaves: a column's title and its gains.

    Args:
        readme: text of a folder's README.
        leaves: names of configs, without suffix.
    """
    found: dict[str, list[float]] = {}
    for _, rows in tables(readme):
        for row in rows:
            first = next(iter(row.values()), '')
            name = re.match(r'\[(\w+)\.py\]', first)
            if not name or name[1] not in leaves:
                continue
            for title in ('paper', 'ours'):
                alone = row.get('student alone', '')
                value = row.get(title, '')
                if _is_number(alone) and _is_number(value):
                    gain = float(value) - float(alone)
                    found.setdefault(title, []).append(gain)
    return list(found.items())


def measured(page: Path, names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Rows of a page of measurements that have a gain and one of the names.

    Returns:
        heading, method as it stands there, gain.
    """
    pattern = '|'.join(re.escape(name) for name in names)
    return [
        (heading, method, row['gain'])
        for heading, rows in tables(page.read_text('utf-8'))
        for row in rows
        if row.get('gain')
        and (method := row.get('method') or row.get('losses', ''))
        and re.match(rf'({pattern})(?![\w+])(?!: )', method)
    ]


def _is_number(text: str) -> bool:
    return re.fullmatch(r'\d+(\.\d+)?', text) is not None
