"""Samples that know their index and draw their own randomness."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    Sampler,
    get_worker_info,
)


class SampleKey(int):
    """An index that also says for which time its sample is drawn.

    It travels to the data workers in place of the bare index.
    """

    def __new__(cls, index: int, draw: int) -> SampleKey:
        key = super().__new__(cls, index)
        key.draw = draw
        return key

    def __reduce__(self) -> tuple:
        return SampleKey, (int(self), self.draw)


class KeyedSampler(Sampler):
    """Yields the indices of another sampler as `SampleKey`.

    Args:
        sampler: any sampler; its ``epoch`` is the draw where it has one, and
            a `SampleKey` of its own is handed on.
        length: indices that make one pass, for samplers without an epoch.
    """

    def __init__(self, sampler: Sampler, length: int) -> None:
        self.sampler = sampler
        self.length = length
        #: Indices already drawn before this run, set on resume.
        self.start = 0

    def __iter__(self) -> Iterator[SampleKey]:
        for position, index in enumerate(self.sampler, self.start):
            draw = getattr(self.sampler, 'epoch', position // self.length)
            yield SampleKey(index, getattr(index, 'draw', draw))

    def __len__(self) -> int:
        return len(self.sampler)


class IndexedDataset(Dataset):
    """Wraps a dataset: stamps ``sample_idx`` and isolates augmentation.

    ``sample_idx`` becomes the index in this, the outermost dataset. With a
    seed, what a sample draws from python's, numpy's and torch's generators is
    a function of (seed, draw, index): worker count, rank and restarts do not
    matter, and the training process's own generators are left alone.

    Args:
        dataset: any map-style dataset.
        seed: of the augmentation; None leaves the generators as they are.
    """

    def __init__(self, dataset: Dataset, seed: int | None = None) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if self.seed is None:
            return self._stamp(self.dataset[int(index)], index)
        draw = getattr(index, 'draw', 0)
        with seeded(self.seed, draw, int(index)):
            return self._stamp(self.dataset[int(index)], index)

    def __getitems__(self, indices: Sequence[int]) -> Any:
        """A whole batch, where the dataset can fetch it that way.

        With a seed it must also say that this draws nothing at random
        (``fetches_batches``): a batch has no seed, each sample has its own.
        """
        fetch = getattr(self.dataset, '__getitems__', None)
        whole = getattr(self.dataset, 'fetches_batches', False)
        if fetch is None or (self.seed is not None and not whole):
            return [self[i] for i in indices]
        plain = [int(i) for i in indices]
        batch = fetch(plain)
        if hasattr(batch, 'stamp'):
            return batch.stamp(plain, self._seeds(indices))
        pairs = zip(batch, indices, strict=True)
        return [self._stamp(item, index) for item, index in pairs]

    def _seeds(self, indices: Sequence[int]) -> list[int] | None:
        """A number for each sample, of (seed, draw, index)."""
        if self.seed is None:
            return None
        return [
            hash((self.seed, getattr(i, 'draw', 0), int(i))) for i in indices
        ]

    def __getattr__(self, name: str) -> Any:
        if name in ('dataset', '__setstate__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @staticmethod
    def _stamp(item: Any, index: int) -> Any:
        sample = item.get('data_samples') if isinstance(item, dict) else None
        if hasattr(sample, 'set_metainfo'):
            sample.set_metainfo(dict(sample_idx=int(index)))
        return item


# Swapped in for a sample: saving and restoring numpy's own costs far more.
_NUMPY_GENERATOR = np.random.MT19937(0)


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed python, numpy and torch from integers; a process gets them back.

    Data workers draw nothing else, so there nothing is put back.
    """
    seed = hash(key) % 2**32  # of integers, so the same in every process
    own = get_worker_info() is None
    if own:
        states = random.getstate(), torch.get_rng_state()
        numpy_generator = np.random.get_bit_generator()
        np.random.set_bit_generator(_NUMPY_GENERATOR)
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        if own:
            random.setstate(states[0])
            torch.set_rng_state(states[1])
            np.random.set_bit_generator(numpy_generator)


def index_samples(
    loader: DataLoader, seed: int | None = None
) -> IndexedDataset:
    """Let a dataloader's samples know their index, and maybe their seed.

    Args:
        loader: not iterated yet; changed in place, once however often it is
            asked for.
        seed: see `IndexedDataset`.
    """
    dataset = loader.dataset
    if not isinstance(dataset, IndexedDataset):
        dataset = IndexedDataset(dataset)
        # DataLoader refuses to set the attribute once it is made.
        loader.__dict__['dataset'] = dataset
    if getattr(dataset, 'fetches_batches', False):
        # A worker takes longer to send a batch than this process to fetch it.
        loader.num_workers = loader.timeout = 0
    if seed is not None:
        dataset.seed = seed
        batches = loader.batch_sampler
        if hasattr(batches, 'sampler') and not isinstance(
            batches.sampler, KeyedSampler
        ):
            batches.sampler = KeyedSampler(
                batches.sampler, _pass_length(loader)
            )
    return dataset


def _pass_length(loader: DataLoader) -> int:
    """Indices that one process draws in one pass over the dataset."""
    world = getattr(loader.sampler, 'world_size', 1)
    return max(1, len(loader.dataset) // world)
