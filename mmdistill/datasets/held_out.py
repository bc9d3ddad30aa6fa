"""Images that are held back from training, to validate with."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from mmdistill.utils.text import shown

#: An image and its class; None if unknown.
Sample = tuple[Path, str | None]


def split(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Hold a share of each class back; the same for the same seed.

    Of a class with two images or more at least one is on each side; a single
    image is for training. Unlabeled ones are, too.
    """
    if not 0 < share < 1:
        raise ValueError(f'val_share={share} should lie between 0 and 1')
    by_class = defaultdict(list)
    for sample in samples:
        by_class[sample[1]].append(sample)
    draw, held_out = random.Random(seed), set()
    for label in sorted(set(by_class) - {None}):
        group = by_class[label]
        count = min(max(1, round(share * len(group))), len(group) - 1)
        held_out |= set(draw.sample(group, count))
    train = [sample for sample in samples if sample not in held_out]
    return train, [sample for sample in samples if sample in held_out]


def twins(train: Sequence[Sample], held_out: Sequence[Sample]) -> list[str]:
    """Warn of validation images that are, byte by byte, training images."""
    lengths = {path.stat().st_size for path, _ in train}
    same = [p for p, _ in held_out if p.stat().st_size in lengths]
    lengths = {path.stat().st_size for path in same}
    learned = {_digest(p) for p, _ in train if p.stat().st_size in lengths}
    twins = [str(path) for path in same if _digest(path) in learned]
    if not twins:
        return []
    return [
        f'{len(twins)} validation images are training images, too: '
        f'{shown(twins, 3)}; the accuracy is too good by them'
    ]


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
