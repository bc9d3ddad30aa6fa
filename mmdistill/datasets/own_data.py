"""Look at a user's images: how they are sorted, and which are usable."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmdistill.datasets.held_out import Sample, split, twins
from mmdistill.datasets.image_files import examine, find_images
from mmdistill.datasets.list_file import Row, class_names, read_list
from mmdistill.utils.text import shown

_TRAIN = ('train', 'training')
_VAL = ('val', 'valid', 'validation', 'test', 'testing')
# Beyond this share of unusable files something else is wrong.
_MOST_BAD = 0.1


class DataError(ValueError):
    """Images that cannot be trained on as they are: why, and what to do."""


@dataclass(frozen=True)
class OwnData:
    """What was found.

    Attributes:
        root: the folder that the paths of the lists begin in.
        train, val: images and classes; ``val`` is empty without labels.
        classes: their names in order; None without labels.
        sizes: (width, height) of the training images.
        skipped: why files are left out.
        notes: what a user should know.
    """

    root: Path
    train: list[Row]
    val: list[Row]
    classes: tuple[str, ...] | None
    sizes: list[tuple[int, int]]
    skipped: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def side(self) -> int:
        """The median of the images' shorter sides."""
        sides = sorted(min(size) for size in self.sizes)
        return sides[len(sides) // 2]


def look_at(
    data: str | os.PathLike,
    val: str | os.PathLike | None = None,
    labels: bool | None = None,
    val_share: float = 0.2,
    seed: int = 0,
) -> OwnData:
    """Find the images and classes of a folder or a list, and decode them.

    A folder has class folders; or ``train`` and ``val`` (or ``test``), each
    with class folders; or images at any depth without classes. A list has an
    image and its class a line. Without validation images, a share of each
    class is taken, at least one image of a class that has two.

    Files that cannot be decoded and tiny ones are left out and named: one
    broken download among thousands is no reason to stop. If they are more
    than a tenth, the data is refused, since then something else is wrong.

    Args:
        data: the folder or the list.
        val: another one with the validation images.
        labels: False for images without classes, whatever folders they are
            in; None to find out.
        val_share: part of each class to validate with, if there is none.
        seed: of the choice of these.
    Raises:
        FileNotFoundError: if there is no such folder or list.
        DataError: if it cannot be trained on; what to do.
    """
    place = _existing(data, 'data')
    other = _given_val(place, val)
    notes: list[str] = []
    inside = place
    if place.is_dir() and other is None:
        inside, other = _split_folders(place, notes)
    train, has_labels = _samples(inside, labels)
    held_out = [] if other is None else _samples(other, has_labels)[0]
    good, sizes, skipped = _usable([*train, *held_out])
    if skipped:
        notes.append(_warning(skipped))
    train, held_out = (
        [s for s in x if s[0] in good] for x in (train, held_out)
    )
    classes = None
    if has_labels:
        classes = class_names(label for _, label in train)
        _check_classes(place, classes, train, held_out, notes)
        if not held_out:
            train, held_out = split(train, val_share, seed)
            notes.append(
                f'no validation images: {len(held_out)} of '
                f'{len(train) + len(held_out)} were drawn (seed {seed})'
            )
    elif not train:
        raise DataError(f'{str(place)!r} has no images that can be read')
    if held_out:
        notes += twins(train, held_out)
    root = _root(place, other)
    return OwnData(
        root,
        [_row(sample, root) for sample in train],
        [_row(sample, root) for sample in held_out if has_labels],
        classes,
        [sizes[path] for path, _ in train],
        skipped,
        notes,
    )


def _existing(data: str | os.PathLike, what: str) -> Path:
    place = Path(data).expanduser()
    if not place.exists():
        raise FileNotFoundError(
            f'{what}={str(data)!r} is neither a folder nor a list; the '
            f'current folder is {os.getcwd()!r}'
        )
    return place.absolute()


def _given_val(place: Path, val: str | os.PathLike | None) -> Path | None:
    if val is None:
        return None
    other = _existing(val, 'val')
    one, two = place.resolve(), other.resolve()
    if one == two or one in two.parents or two in one.parents:
        raise DataError(
            f'data={str(place)!r} and val={str(other)!r} share images, so the '
            'accuracy would be that on images that were learned; give folders '
            'beside each other, or leave val out'
        )
    return other


def _split_folders(place: Path, notes: list[str]) -> tuple[Path, Path | None]:
    """The folders of training and validation images in a folder."""
    found = {
        child.name.lower(): child
        for child in sorted(place.iterdir())
        if child.is_dir() and not child.name.startswith('.')
    }
    train = next((found[name] for name in _TRAIN if name in found), None)
    held_out = [found[name] for name in _VAL if name in found]
    # A lone folder of that name may hold pictures of trains.
    if train is None or not (held_out or _has_folders(train)):
        return place, None
    if held_out and held_out[0].resolve() == train.resolve():
        raise DataError(
            f'{str(train)!r} and {str(held_out[0])!r} are the same folder; '
            'give the validation images a folder of their own'
        )
    if len(held_out) > 1:
        notes.append(f'{held_out[1].name}/ is not used')
    left = set(found) - {path.name.lower() for path in (train, *held_out)}
    if left:
        notes.append(f'beside train/, nothing is read of {sorted(left)}')
    return train, held_out[0] if held_out else None


def _has_folders(place: Path) -> bool:
    return any(
        child.is_dir() and not child.name.startswith('.')
        for child in place.iterdir()
    )


def _samples(place: Path, labels: bool | None) -> tuple[list[Sample], bool]:
    """Images with the names of their classes, and whether there are any."""
    if place.is_file():
        rows = read_list(place)
        named = any(label is not None for _, label in rows)
        keep = named if labels is None else labels and named
        paths = [place.parent / path for path, _ in rows]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise DataError(
                f'{len(missing)} of {len(rows)} images of the list '
                f'{str(place)!r} are not there: {shown(missing)}'
            )
        both = zip(paths, rows, strict=True)
        return [
            (path, row.label if keep else None) for path, row in both
        ], keep
    images = find_images(place)
    if not images:
        raise DataError(
            f'{str(place)!r} has no images at any depth (.jpg, .png, ...)'
        )
    above = [path.parent == place for path in images]
    if labels and any(above):
        raise DataError(
            f'{str(place)!r} has images outside of class folders: '
            f'{shown([p.name for p in images if p.parent == place])}; move '
            'them into the folders of their classes'
        )
    keep = not any(above) if labels is None else labels
    if not keep:
        return [(path, None) for path in images], False
    _refuse_same_folders(place)
    return [(p, p.relative_to(place).parts[0]) for p in images], True


def _refuse_same_folders(place: Path) -> None:
    seen: dict[Path, str] = {}
    for child in sorted(place.iterdir()):
        if child.is_dir() and not child.name.startswith('.'):
            name = seen.setdefault(child.resolve(), child.name)
            if name != child.name:
                raise DataError(
                    f'the classes {name!r} and {child.name!r} in '
                    f'{str(place)!r} are the same folder; keep one of them'
                )


def _usable(
    samples: Sequence[Sample],
) -> tuple[set[Path], dict[Path, tuple[int, int]], dict[Path, str]]:
    sizes, bad = examine([path for path, _ in samples])
    if len(bad) > _MOST_BAD * len(samples):
        raise DataError(
            f'{len(bad)} of {len(samples)} images are not usable: '
            + '; '.join(f'{p}: {why}' for p, why in [*bad.items()][:3])
            + '. Replace them, or take them away'
        )
    return set(sizes), sizes, bad


def _warning(skipped: dict[Path, str]) -> str:
    lines = [f'{path}: {why}' for path, why in skipped.items()]
    return f'{len(lines)} images are left out: {shown(lines, 3)}'


def _check_classes(
    place: Path,
    classes: tuple[str, ...],
    train: Sequence[Sample],
    held_out: Sequence[Sample],
    notes: list[str],
) -> None:
    if len(classes) < 2:
        raise DataError(
            f'{str(place)!r} has one class, {list(classes)}; to tell classes '
            'apart takes two. Make a folder for each class, or, if the images '
            'have no classes, give labels=False (--no-labels) and a method '
            'that needs none'
        )
    new = sorted({label for _, label in held_out} - {None, *classes})
    if new:
        raise DataError(
            f'validation images have the classes [{shown(new)}], of which '
            'there is no training image; the classes are compared by name'
        )
    counts = Counter(label for _, label in train)
    single = [name for name in classes if counts[name] == 1]
    if single:
        notes.append(
            f'{len(single)} classes have one training image: {shown(single)}; '
            'what is learned of them is not measured'
            if not held_out
            else f'{len(single)} classes have one training image: '
            f'{shown(single)}'
        )


def _root(place: Path, other: Path | None) -> Path:
    """The folder that holds all images."""
    folders = [p if p.is_dir() else p.parent for p in (place, other) if p]
    return Path(os.path.commonpath(folders))


def _row(sample: Sample, root: Path) -> Row:
    path, label = sample
    if path.is_relative_to(root):
        path = path.relative_to(root)
    return Row(path.as_posix(), label)
