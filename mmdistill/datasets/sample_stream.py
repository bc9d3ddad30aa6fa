"""Sample indices, and augmentation seeded per sample."""

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
    """A sample index with the number of its draw, the epoch or episode.

    It is sent to the data workers in place of the bare index.
    """

    def __new__(cls, index: int, draw: int) -> SampleKey:
        key = super().__new__(cls, index)
        key.draw = draw
        return key

    def __reduce__(self) -> tuple:
        return SampleKey, (int(self), self.draw)


class KeyedSampler(Sampler):
    """Yield the indices of another sampler as `SampleKey`.

    Args:
        sampler: any sampler. Its ``epoch`` is the draw if it has one; a
            `SampleKey` that it yields keeps its own draw.
        length: indices per pass, for samplers without an epoch.
    """

    def __init__(self, sampler: Sampler, length: int) -> None:
        self.sampler = sampler
        self.length = length
        #: Number of indices drawn before this run; set on resume.
        self.start = 0

    def __iter__(self) -> Iterator[SampleKey]:
        for position, index in enumerate(self.sampler, self.start):
            draw = getattr(self.sampler, 'epoch', position // self.length)
            yield SampleKey(index, getattr(index, 'draw', draw))

    def __len__(self) -> int:
        return len(self.sampler)


class IndexedDataset(Dataset):
    """Wrap a dataset: set ``sample_idx`` and seed augmentation per sample.

    ``sample_idx`` is the index in this, the outermost dataset. With a seed,
    the numbers that a sample draws from the generators of Python, NumPy and
    torch are a function of (seed, draw, index). They do not depend on worker
    count, rank or restarts, and the generators of the training process are
    unaffected.

    Args:
        dataset: any map-style dataset.
        seed: seed of the augmentation; None to use the global generators.
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
        """Fetch a whole batch at once, if the dataset supports it.

        With a seed, the dataset must also declare that this draws no random
        numbers (``fetches_batches``), because seeds are per sample.
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
        """One seed per sample, a hash of (seed, draw, index)."""
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


# Swapped in while a sample is prepared, which is much faster than saving and
# restoring the state of NumPy's own generator.
_NUMPY_GENERATOR = np.random.MT19937(0)


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed the generators of Python, NumPy and torch inside the context.

    Their state is restored afterwards, except in data workers, which draw no
    other random numbers.
    """
    seed = hash(key) % 2**32  # hashes of integers agree across processes
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
    """Give a dataloader's samples their index and, if set, their seed.

    Args:
        loader: a dataloader that is not iterated yet. It is changed in place;
            repeated calls wrap it once.
        seed: see `IndexedDataset`.
    """
    dataset = loader.dataset
    if not isinstance(dataset, IndexedDataset):
        dataset = IndexedDataset(dataset)
        # DataLoader.__setattr__ rejects this after construction.
        loader.__dict__['dataset'] = dataset
    if getattr(dataset, 'fetches_batches', False):
        # Sending a batch from a worker takes longer than fetching it here.
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
    """Number of indices per process in one pass over the dataset."""
    world = getattr(loader.sampler, 'world_size', 1)
    return max(1, len(loader.dataset) // world)
