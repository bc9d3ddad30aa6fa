"""What is held back to validate with."""

from collections import Counter
from pathlib import Path

import pytest

from mmdistill.datasets.held_out import split, twins


def samples(**counts):
    return [(Path(k, str(i)), k) for k, n in counts.items() for i in range(n)]


def test_a_share_of_each_class():
    train, val = split(samples(a=50, b=10, c=2, d=1), 0.2, 0)
    assert Counter(label for _, label in val) == dict(a=10, b=2, c=1)
    assert Counter(label for _, label in train) == dict(a=40, b=8, c=1, d=1)
    assert not {*train} & {*val}


def test_the_seed_decides():
    every = samples(a=30, b=30)
    assert split(every, 0.5, 1) == split(every, 0.5, 1)
    assert split(every, 0.5, 1) != split(every, 0.5, 2)


def test_unlabeled_images_are_to_train_with():
    train, val = split([*samples(a=4), (Path('x'), None)], 0.5, 0)
    assert (Path('x'), None) in train
    assert len(val) == 2


@pytest.mark.parametrize('share', [0, 1, 1.5])
def test_a_share_is_a_part(share):
    with pytest.raises(ValueError, match='val_share'):
        split(samples(a=3), share, 0)


def test_copies_are_told_by_their_bytes(tmp_path):
    for name, text in dict(a='one', b='two', c='one').items():
        (tmp_path / name).write_text(text)
    a, b, c = ((tmp_path / name, 'k') for name in 'abc')
    assert not twins([a], [b])
    (line,) = twins([a, b], [c])
    assert line.startswith('1 validation images')
