"""The batch of samples that datasets pass to models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat

import torch
from mmpretrain.structures import DataSample
from torch import Tensor


class BatchedSamples:
    """The labels and indices of a batch as tensors; DataSamples on demand.

    When indexed or iterated it acts as a list of MMPretrain's DataSamples.
    They are created at first access and kept, so predictions that a model
    writes into them persist. It is not a ``collections.abc.Sequence``, because
    MMEngine and torch would collate or move a sequence sample by sample.

    Args:
        sample_idx: (N,) int64, on the CPU.
        gt_label: (N,) int64, -1 where unknown; None without labels.
        seed: (N,) int64 on the CPU, the seed of each sample's augmentation;
            None to use the device's generator.
    """

    def __init__(
        self,
        sample_idx: Tensor,
        gt_label: Tensor | None = None,
        seed: Tensor | None = None,
    ) -> None:
        self.sample_idx = sample_idx
        self.gt_label = gt_label
        self.seed = seed
        self._samples: dict[int, DataSample] = {}

    def __len__(self) -> int:
        return len(self.sample_idx)

    def __getitem__(self, item: int | slice) -> DataSample | list[DataSample]:
        if isinstance(item, slice):
            return list(self)[item]
        i = range(len(self))[item]
        if i not in self._samples:
            label = self.gt_label
            label = None if label is None else label[i : i + 1]
            self._samples[i] = _sample(int(self.sample_idx[i]), label)
        return self._samples[i]

    def __iter__(self) -> Iterator[DataSample]:
        labels = repeat(None)
        if self.gt_label is not None:
            labels = self.gt_label.split(1)
        # Convert all indices at once; one by one is slower.
        pairs = zip(self.sample_idx.tolist(), labels, strict=False)
        for i, (index, label) in enumerate(pairs):
            if i not in self._samples:
                self._samples[i] = _sample(index, label)
            yield self._samples[i]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(sample_idx={self.sample_idx}, '
            f'gt_label={self.gt_label})'
        )

    def to(self, device: torch.device) -> BatchedSamples:
        """A copy with the labels on a device; one transfer for all."""
        label = self.gt_label
        if label is not None:
            label = label.to(device, non_blocking=True)
        moved = BatchedSamples(self.sample_idx, label, self.seed)
        moved._samples = {i: s.to(device) for i, s in self._samples.items()}
        return moved

    def fields(self, device: torch.device) -> dict[str, Tensor]:
        """``label`` and ``sample_idx``, each (N,), for the losses."""
        fields = dict(sample_idx=self.sample_idx, label=self.gt_label)
        return {
            name: value.to(device, non_blocking=True)
            for name, value in fields.items()
            if value is not None
        }


def _sample(index: int, label: Tensor | None) -> DataSample:
    sample = DataSample()
    # set_metainfo would make a deep copy, at four times the cost.
    sample.set_field(index, 'sample_idx', field_type='metainfo')
    if label is not None:
        sample.set_field(label, 'gt_label')
    return sample


def batch_fields(
    samples: BatchedSamples | Sequence[DataSample] | None,
    device: torch.device,
    labeled: bool = False,
) -> dict[str, Tensor]:
    """Labels (-1 where unknown) and sample indices of a batch.

    Args:
        samples: of the batch.
        device: of the result.
        labeled: whether earlier batches had labels: then one without any is
            an unlabeled one.
    Shape:
        each (N,); a field that no sample has is left out.
    """
    if isinstance(samples, BatchedSamples):
        return samples.fields(device)
    fields = {}
    samples = samples or ()
    if any('gt_label' in sample for sample in samples):
        fields['label'] = torch.cat(
            [
                sample.gt_label
                if 'gt_label' in sample
                else torch.tensor([-1], device=device)
                for sample in samples
            ]
        ).to(device)
    elif samples and labeled:
        fields['label'] = torch.full((len(samples),), -1, device=device)
    if samples and all('sample_idx' in sample for sample in samples):
        index = torch.tensor([sample.sample_idx for sample in samples])
        fields['sample_idx'] = index.to(device, non_blocking=True)
    return fields
