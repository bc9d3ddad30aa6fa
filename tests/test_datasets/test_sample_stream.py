import random

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader, Dataset, Subset

from mmdistill.datasets import (
    IndexedDataset,
    KeyedSampler,
    batch_collate,
    dataset_labels,
)
from mmdistill.datasets.sample_stream import index_samples
from mmdistill.registry import DATASETS, MODELS


class Drawn(Dataset):
    """What each sample draws from the three global generators."""

    targets = list(range(12))
    note = 'of the inner dataset'

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return dict(
            draws=(random.random(), np.random.rand(), float(torch.rand(()))),
            index=i,
        )


def draws(epochs, workers, seed=3):
    dataset = Drawn()
    loader = DataLoader(
        dataset,
        batch_size=5,
        sampler=DefaultSampler(dataset, shuffle=True, seed=0),
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=list,
    )
    index_samples(loader, seed=seed)
    index_samples(loader, seed=seed)  # a second time changes nothing
    seen = []
    for epoch in epochs:
        loader.sampler.set_epoch(epoch)
        batches = iter(loader)
        for _ in range(3):
            seen.append([(d['index'], d['draws']) for d in next(batches)])
    return seen


def test_workers_and_restarts_do_not_matter():
    whole = draws((0, 1), workers=0)
    assert draws((0, 1), workers=2) == whole
    assert draws((1,), workers=2) == whole[3:]
    assert draws((1,), workers=0, seed=4) != whole[3:]


def test_every_draw_is_another():
    flat = [item for batch in draws((0, 1), 0) for item in batch]
    assert len({d for _, d in flat}) == len(flat) == 24


def test_passes_of_an_endless_sampler_differ():
    dataset = Drawn()
    loader = DataLoader(
        dataset, 6, sampler=InfiniteSampler(dataset, seed=0), collate_fn=list
    )
    index_samples(loader, seed=3)
    batches = iter(loader)
    passes = [
        {d['index']: d['draws'] for _ in range(2) for d in next(batches)}
        for _ in range(2)
    ]
    for one in passes:
        assert sorted(one) == list(range(12))
    assert not set(passes[0].values()) & set(passes[1].values())


def test_the_process_own_generators_are_left_alone():
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    dataset = index_samples(DataLoader(Drawn()), seed=1)
    dataset[3]
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1][1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_wrapper_is_transparent():
    dataset = index_samples(DataLoader(Drawn()))
    assert dataset.note == 'of the inner dataset'
    assert not hasattr(dataset, 'nothing')
    assert len(dataset) == 12


PACK = dict(type='PackInputs')

DIGITS = dict(type='Digits', indices=30)

BATCHED = dict(type='ImageTensorDataset', dataset=DIGITS)


def preprocessor(**kwargs):
    return MODELS.build(dict(type='BatchAugmentPreprocessor', **kwargs))


def stream(cfg, workers=0, seed=5, collate=batch_collate, epochs=2, **kwargs):
    """Augmented batches: images, labels and indices of every batch."""
    # index_samples by hand: it would leave the workers out
    dataset = IndexedDataset(DATASETS.build(cfg), seed)
    sampler = DefaultSampler(dataset, shuffle=True, seed=0)
    loader = DataLoader(
        dataset,
        batch_size=8,
        sampler=KeyedSampler(sampler, len(dataset)),
        num_workers=workers,
        collate_fn=collate,
        **kwargs,
    )
    prepare = preprocessor(crop_padding=2)
    batches = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for data in loader:
            data = prepare(data, True)
            found = data['data_samples']
            index = torch.tensor([s.sample_idx for s in found])
            label = torch.cat([s.gt_label for s in found])
            batches.append((data['inputs'], label, index))
    return batches


def assert_same(one, other):
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_workers_do_not_matter():
    whole = stream(BATCHED)
    assert_same(whole, stream(BATCHED, workers=2))
    # each epoch draws anew, and each seed
    first, second = whole[:4], whole[4:]
    assert {int(i) for _, _, index in first for i in index} == set(range(30))
    by_index = []
    for part in (first, second):
        images, _, index = map(torch.cat, zip(*part, strict=True))
        by_index.append(images[index.argsort()])
    equal = (by_index[0] == by_index[1]).flatten(1).all(1).sum()
    assert equal < 10
    assert not torch.equal(stream(BATCHED, seed=6)[0][0], whole[0][0])


def test_training_needs_no_workers():
    """A batch takes longer to send than to fetch, unless it has to be made."""
    flips = [dict(type='RandomFlip', prob=0.5), PACK]
    for cfg, workers in (
        (BATCHED, 0),
        ({**BATCHED, 'pipeline': flips}, 1),
        (dict(type='RepeatDataset', dataset=BATCHED, times=2), 1),
        (DIGITS, 1),
    ):
        loader = DataLoader(
            DATASETS.build(cfg), num_workers=1, persistent_workers=True
        )
        index_samples(loader)
        assert loader.num_workers == workers
    whole = DataLoader(
        DATASETS.build(BATCHED),
        num_workers=1,
        persistent_workers=True,
        timeout=9,
        collate_fn=batch_collate,
    )
    index_samples(whole, seed=1)
    for _ in range(2):
        assert len(list(whole)) == 30


@pytest.mark.slow
def test_spawned_workers():
    spawned = stream(BATCHED, workers=1, multiprocessing_context='spawn')
    assert_same(stream(BATCHED), spawned)


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize(
    'cfg',
    [
        BATCHED,
        dict(type='ConcatDataset', datasets=[BATCHED, dict(BATCHED)]),
        dict(type='RepeatDataset', dataset=BATCHED, times=2),
    ],
    ids=lambda cfg: cfg['type'],
)
def test_labels_and_indices_through_wrappers(cfg, workers):
    dataset = DATASETS.build(cfg)
    labels = dataset_labels(dataset)
    assert len(labels) == len(dataset)
    seen = []
    for images, label, index in stream(cfg, workers, epochs=1):
        assert images.dtype == torch.float32 and len(images) == len(index)
        assert torch.equal(label, labels[index])  # of the outermost dataset
        seen.extend(index.tolist())
    assert sorted(seen) == list(range(len(dataset)))


def test_a_dataset_that_draws_keeps_its_seeds():
    """A `__getitems__` that is not whole batches must not go past them."""
    drawing = dict(
        DIGITS,
        pipeline=[dict(type='RandomCrop', crop_size=8, padding=2), PACK],
    )
    plain = DATASETS.build(drawing)

    def items(dataset, seed):
        indexed = index_samples(DataLoader(dataset), seed=seed)
        return indexed.__getitems__([4, 2])

    for seed in (3, None):
        expected = items(plain, 3)
        got = items(Subset(plain, list(range(30))), seed)
        assert [g['data_samples'].sample_idx for g in got] == [4, 2]
        same = [
            torch.equal(g['inputs'], e['inputs'])
            for g, e in zip(got, expected, strict=True)
        ]
        assert all(same) == (seed is not None)
