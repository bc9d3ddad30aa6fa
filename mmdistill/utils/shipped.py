"""Where configs and tools lie: in the source tree, or in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(name: str) -> Path:
    """The folder of that name, ``configs`` or ``tools``.

    Raises:
        FileNotFoundError: if the installation has none.
    """
    places = _PACKAGE / '.mim' / name, _PACKAGE.parent / name
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(
        f'this installation of mmdistill has no {name}: neither {places[0]} '
        f'nor {places[1]} is a folder; install it again'
    )
