import random

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from mmdistill.datasets import dataset_labels
from mmdistill.datasets.sample_stream import index_samples
from mmdistill.registry import DATASETS


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


DIGITS = dict(type='Digits', indices=30)


@pytest.mark.parametrize(
    'cfg',
    [
        DIGITS,
        dict(type='ConcatDataset', datasets=[DIGITS, dict(DIGITS)]),
        dict(type='RepeatDataset', dataset=DIGITS, times=3),
        dict(type='ClassBalancedDataset', dataset=DIGITS, oversample_thr=0.2),
        dict(type='KFoldDataset', dataset=DIGITS, num_splits=3, fold=1),
    ],
    ids=lambda cfg: cfg['type'],
)
def test_labels_through_wrappers(cfg):
    dataset = DATASETS.build(cfg)
    expected = [
        dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))
    ]
    assert dataset_labels(dataset).tolist() == expected


def test_labels_of_other_datasets():
    assert dataset_labels(Drawn()).tolist() == list(range(12))
    assert dataset_labels(ConcatDataset([Drawn()])) is None
