"""Episodes: what is in them, and that nothing but their key decides it."""

from collections import Counter

import numpy as np
import pytest
import torch
from helpers import run_distributed
from torch.utils.data import DataLoader, Dataset

from mmdistill.datasets import Episodes
from mmdistill.datasets.sample_stream import index_samples
from mmdistill.registry import DATA_SAMPLERS

WAY, SHOT, QUERY = 3, 2, 4
SIZE = WAY * (SHOT + QUERY)


class Labelled(Dataset):
    """Ten classes of 6 to 15 samples, mixed, and what each sample draws."""

    targets = (
        np.random.RandomState(0)
        .permutation([c for c in range(10) for _ in range(6 + c)])
        .tolist()
    )
    metainfo = dict(classes=tuple('abcdefghij'))

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        return dict(
            index=int(i), label=self.targets[i], drawn=float(np.random.rand())
        )


def sampler(dataset=None, **kwargs):
    cfg = dict(type='EpisodeSampler', way=WAY, shot=SHOT, query=QUERY,
               episodes=5, seed=0)  # fmt: skip
    return DATA_SAMPLERS.build(
        cfg | kwargs, default_args=dict(dataset=dataset or Labelled())
    )


def episodes_of(found) -> list[list[int]]:
    indices = [int(i) for i in found]
    assert len(indices) == len(found)
    return [indices[i : i + SIZE] for i in range(0, len(indices), SIZE)]


def test_order_within_an_episode():
    for episode in episodes_of(sampler(episodes=50)):
        assert len(set(episode)) == SIZE
        labels = np.array([Labelled.targets[i] for i in episode])
        support = labels[: WAY * SHOT].reshape(WAY, SHOT)
        query = labels[WAY * SHOT :].reshape(WAY, QUERY)
        assert (support == support[:, :1]).all()
        assert (query == support[:, :1]).all()
        assert len(set(support[:, 0])) == WAY


def test_classes_and_samples_are_drawn_evenly():
    """Every class alike, and every sample of a class alike."""
    count = 4000
    drawn = episodes_of(sampler(episodes=count))
    samples = Counter(i for episode in drawn for i in episode)
    for label in range(10):
        own = [i for i, t in enumerate(Labelled.targets) if t == label]
        chance = WAY / 10 * (SHOT + QUERY) / len(own)
        deviation = (count * chance * (1 - chance)) ** 0.5
        for i in own:
            assert abs(samples[i] - count * chance) < 5 * deviation


def test_an_episode_is_a_function_of_seed_epoch_and_number():
    one, again = sampler(), sampler()
    first = episodes_of(one)
    assert episodes_of(one) == first == episodes_of(again)
    again.set_epoch(1)
    second = episodes_of(again)
    seen = first + second + episodes_of(sampler(seed=1))
    assert len({tuple(episode) for episode in seen}) == 15
    # more episodes a epoch do not change the first ones
    assert episodes_of(sampler(episodes=9))[:5] == first


def test_length():
    found = sampler()
    assert len(found) == 5 * SIZE == len(list(found))


def share(rank, world, episodes):
    from mmdistill.utils import register_all_modules

    register_all_modules()
    found = sampler(episodes=episodes)
    assert len(found) == len(list(found))
    return [int(i) for i in found]


def test_processes_share_the_episodes():
    alone = episodes_of(share(0, 1, 6))
    first, second = (
        [part[i : i + SIZE] for i in range(0, len(part), SIZE)]
        for part in run_distributed(share, 2, 5)
    )
    assert [first, second] == [alone[::2], alone[1::2]]  # 5 are rounded up


# With a dataloader ----------------------------------------------------------
def draws(epochs, workers):
    loader = DataLoader(
        Labelled(),
        batch_size=SIZE,
        sampler=sampler(),
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=list,
    )
    index_samples(loader, seed=3)
    seen = []
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)
        seen += [[(d['index'], d['drawn']) for d in b] for b in loader]
    return seen


def test_workers_and_restarts_do_not_matter():
    whole = draws((0, 1), workers=0)
    assert len(whole) == 10
    assert draws((0, 1), workers=2) == whole
    assert draws((1,), workers=2) == whole[5:]


def test_an_image_is_augmented_anew_in_every_episode():
    flat = [item for batch in draws((0, 1), 0) for item in batch]
    indices = [index for index, _ in flat]
    assert len(set(indices)) < len(indices) == 10 * SIZE
    assert len({drawn for _, drawn in flat}) == len(flat)


# Bad input ------------------------------------------------------------------
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
