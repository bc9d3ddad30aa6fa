"""Links to files of the repository, in pages that are read there and here.

A link to a folder of configs leads to the page that is made of its README;
what the site does not have, a config or a test, is named and not linked.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / 'docs'
_LINK = re.compile(r'\[([^\]]+)\]\((?!https?:|mailto:|#)([^)\s]+)\)')
#: Files that are pages of the site, by their place in the repository.
_PAGES = {
    'README.md': 'getting_started.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    'UPGRADING.md': 'upgrading.md',
}


def setup(app: Sphinx) -> dict:
    app.connect('source-read', read)
    return dict(parallel_read_safe=True)


def read(app: Sphinx, name: str, source: list[str]) -> None:
    folder = (DOCS / name).parent
    text, place = source[0], folder
    whole = re.fullmatch(r'<!-- text of: (\S+) -->\n', text)
    if whole:  # the page is a file at the root of the repository
        path = ROOT / whole[1]
        app.env.note_dependency(str(path))
        text, place = path.read_text('utf-8'), path.parent
    source[0] = with_links(text, place, folder)


def with_links(text: str, folder: Path, page_folder: Path) -> str:
    """A page's text with links that lead somewhere.

    Args:
        folder: that the links start from.
        page_folder: folder of the page.
    """

    def link(match: re.Match) -> str:
        label, target = match.groups()
        path, hash_, section = target.partition('#')
        page = page_of((folder / path).resolve())
        if page is None:
            return label if '`' in label else f'`{label}`'
        where = os.path.relpath(page, page_folder)
        return f'[{label}]({where}{hash_}{section})'

    return _LINK.sub(link, text)


def page_of(place: Path) -> Path | None:
    """The page of the site that has a file's text, if any."""
    if place.is_relative_to(DOCS):
        return place
    if not place.is_relative_to(ROOT):
        return None
    where = place.relative_to(ROOT)
    if where.as_posix() in _PAGES:
        return DOCS / _PAGES[where.as_posix()]
    readme = where / 'README.md' if (ROOT / where).is_dir() else where
    if readme.parts[0] == 'configs' and readme.name == 'README.md':
        return DOCS / 'methods' / f'{readme.parent.name}.md'
    return None
