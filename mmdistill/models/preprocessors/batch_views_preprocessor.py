from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor

from mmdistill.structures import BatchedSamples


class BatchViewsPreprocessor(ClsDataPreprocessor):
    """Augment whole batches into views on the device, then normalize them.

    Subclasses implement ``views``. In testing it is a ClsDataPreprocessor.

    With ResumeStateHook and `ImageTensorDataset`, the random numbers of an
    image are a function of (seed, draw, index) and independent of batch,
    process and device. Otherwise they come from the device's default
    generator.

    Args:
        mean, std: per channel of the pixels; None for no normalization.
        num_views: views per image. One view is returned as a tensor, several
            as a list of tensors, for distillers that compare views.
        num_classes, to_rgb, ...: as in ClsDataPreprocessor.
    Shape:
        inputs: (N, C, H, W) uint8, from the dataset.
    Raises:
        ValueError: if num_views < 1, or for batch_augments with several views.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        num_views: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(mean, std, **kwargs)
        name = type(self).__name__
        if num_views < 1:
            raise ValueError(f'{name} needs num_views >= 1, got {num_views}')
        if num_views > 1 and self.batch_augments is not None:
            raise ValueError(
                f'batch_augments of {name} mix the labels of one view, and '
                f'there are {num_views}; leave data_preprocessor.'
                'batch_augments out'
            )
        self.num_views = num_views
        self._non_blocking = True

    def forward(self, data: dict, training: bool = False) -> dict:
        """Draw views (in training) and normalize them on the device."""
        inputs, samples = data['inputs'], data.get('data_samples')
        if not training:
            return self._prepare(inputs, samples, training)
        if not isinstance(inputs, Tensor):
            inputs = torch.stack(tuple(inputs))
        batched = isinstance(samples, BatchedSamples)
        first, *rest = self.views(
            self.cast_data(inputs), samples.seed if batched else None
        )
        prepared = self._prepare(first, samples, training)
        if self.num_views > 1:
            others = [self._prepare(view, None, training) for view in rest]
            prepared['inputs'] = [x['inputs'] for x in (prepared, *others)]
        return prepared

    def views(
        self, images: Tensor, seeds: Tensor | None = None
    ) -> Sequence[Tensor]:
        """Return ``num_views`` views of the images.

        Args:
            seeds: (N,) int64 on the CPU; None to draw on the device.
        Shape:
            images: (N, C, H, W) of any dtype; returns N rows per view.
        """
        raise NotImplementedError

    def _prepare(self, inputs: Any, samples: Any, training: bool) -> dict:
        """Run ClsDataPreprocessor, but keep BatchedSamples as they are."""
        batched = isinstance(samples, BatchedSamples)
        if not batched or self.to_onehot or self.batch_augments is not None:
            data = dict(inputs=inputs, data_samples=samples)
            return super().forward(data, training)
        prepared = super().forward(dict(inputs=inputs), training)
        prepared['data_samples'] = samples.to(self.device)
        return prepared


def random_bits(seeds: np.ndarray, count: int) -> np.ndarray:
    """``count`` random 64-bit numbers for each seed (SplitMix64).

    Shape:
        seeds: (N,) int64; returns (count, N) uint64.
    """
    step = np.uint64(0x9E3779B97F4A7C15)
    draws = np.arange(1, count + 1, dtype=np.uint64)[:, None]
    x = seeds.astype(np.uint64) + draws * step
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
