"""The house: which file is called what, and which floor imports which."""

from collections import defaultdict
from pathlib import Path

import mmdistill

PACKAGE = Path(mmdistill.__file__).parent
#: Names that several files still have.
SHARED = {'base.py', 'views.py'}


def modules() -> list[Path]:
    return [p for p in PACKAGE.rglob('*.py') if p.name != '__init__.py']


def test_a_name_stands_for_one_file():
    found = defaultdict(list)
    for path in modules():
        found[path.name].append(path.relative_to(PACKAGE).as_posix())
    several = {name: paths for name, paths in found.items() if paths[1:]}
    assert set(several) == SHARED, several
