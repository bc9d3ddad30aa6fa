"""What an episode asks of a dataset."""

import pytest
import torch
from labeled_data import Labelled, sampler

from mmdistill.datasets import Episodes


@pytest.mark.parametrize(
    'kwargs, message',
    [(dict(way=11), r'sampler\.way=11 asks for more classes .* has, 10'),
     (dict(shot=5), r'shot=5 and query=4 .* 9 together, but 3 of 10 classes '
                    r'have fewer \(a has 6, b has 7, c has 8\); lower'),
     (dict(shot=20), r'10 of 10 .*\(a has 6, .*e has 10, \.\.\.\)'),
     (dict(way=1), 'way=2, shot=1 and query=1, got way=1'),
     (dict(shot=0), 'got .*shot=0'), (dict(query=0), 'got .*query=0'),
     (dict(episodes=0), 'episodes >= 1')])  # fmt: skip
def test_more_than_the_data_allows(kwargs, message):
    with pytest.raises(ValueError, match=message):
        sampler(**kwargs)


class Unlabelled(Labelled):
    targets = [-1] * 30


class Untold(Labelled):
    targets = None

    def __len__(self):
        return 30


@pytest.mark.parametrize('dataset', [Unlabelled(), Untold()])
def test_no_labels(dataset):
    with pytest.raises(ValueError, match='gives no label'):
        sampler(dataset)


def test_unlabeled_samples_are_in_no_episode():
    labels = torch.tensor([-1, 4, 4, -1, 7, 7, 4, -1, 7])
    found = Episodes(labels, way=2, shot=1, query=2)
    for number in range(20):
        drawn = found.draw(0, number)
        assert sorted(drawn.flatten().tolist()) == [1, 2, 4, 5, 6, 8]
        assert {tuple(labels[row].tolist()) for row in drawn} == {
            (4, 4, 4), (7, 7, 7)}  # fmt: skip


def test_class_names_need_not_be_known():
    with pytest.raises(ValueError, match=r'\(4 has 1\)'):
        Episodes(torch.tensor([3, 3, 4]), way=2, shot=1, query=1)
