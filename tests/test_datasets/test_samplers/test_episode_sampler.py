"""Episodes: what is in them, and that nothing but their key decides it."""

from collections import Counter

import numpy as np
from helpers import run_distributed
from labeled_data import QUERY, SHOT, SIZE, WAY, Labelled, sampler
from torch.utils.data import DataLoader

from mmdistill.datasets.sample_stream import index_samples


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
