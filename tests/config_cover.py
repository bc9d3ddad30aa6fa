"""Which leaves of `configs` to train with: few that reach all of its text.

A leaf is a config that a user trains with; its text stands in the leaf, in
its bases and in theirs. Two leaves with the same lines below `_base_` have
the same body. What is read here is only the text: nothing is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LEAVES = sorted(
    str(path.relative_to(CONFIGS))
    for path in CONFIGS.glob('*/*.py')
    if path.parent.name != '_base_'
)


@cache
def read(path: Path) -> tuple[frozenset[Path], str]:
    """Every base of a config, near and far, and the config's own body."""
    bases, body = set(), []
    for statement in ast.parse(path.read_text()).body:
        if ast.unparse(statement).startswith('_base_ = '):
            names = ast.literal_eval(statement.value)
            for name in [names] if isinstance(names, str) else names:
                base = (path.parent / name).resolve()
                bases |= {base, *read(base)[0]}
        else:
            body.append(ast.unparse(statement))
    return frozenset(bases), '\n'.join(body)


@cache
def reached(leaf: str) -> frozenset[Path | str]:
    """The bases and the body that whoever trains with a leaf has used."""
    bases, body = read(CONFIGS / leaf)
    return bases | {body}


def union(leaves: Iterable[str]) -> frozenset[Path | str]:
    return frozenset().union(*map(reached, leaves))


def cover(leaves: list[str], chosen: Iterable[str] = ()) -> list[str]:
    """Further leaves that reach, with the chosen ones, what all reach.

    The greedy set cover: always the leaf that reaches most of what is left,
    the first by name among equals; then without those that came too early.
    """
    wanted = union(leaves) - union(chosen)
    further, left = [], wanted
    while left:
        further.append(max(leaves, key=lambda leaf: len(reached(leaf) & left)))
        left -= reached(further[-1])
    for leaf in tuple(further):
        others = [other for other in further if other != leaf]
        if wanted <= union(others):
            further = others
    return sorted(further)
