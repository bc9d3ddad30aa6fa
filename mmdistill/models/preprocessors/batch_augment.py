from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor

from mmdistill.registry import MODELS
from mmdistill.structures import BatchedSamples


@MODELS.register_module()
class BatchAugmentPreprocessor(ClsDataPreprocessor):
    """Random crop and flip of whole batches on the device; normalisation.

    In training each image is padded with zeros, cropped back to its size at a
    random place, and mirrored or not: the distribution of MMPretrain's
    ``RandomCrop(crop_size=size, padding=crop_padding)`` and
    ``RandomFlip(flip_prob)``. Everything else, and all of testing, is
    ClsDataPreprocessor.

    With ResumeStateHook and `ImageTensorDataset`, what an image draws is a
    function of (seed, draw, index), whatever the batch, the process or the
    device; else it comes from the device's default generator.

    Args:
        mean, std: of the pixels, by channel; no normalisation when None.
        crop_padding: zero pixels added to each side before the crop.
        flip_prob: probability of a mirror image (left and right swapped).
        num_classes, to_rgb, ...: as ClsDataPreprocessor.
    Shape:
        inputs: (N, C, H, W), uint8 as the dataset gives them.
    Config:
        data_preprocessor=dict(
            type='BatchAugmentPreprocessor', mean=[...], std=[...])
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        crop_padding: int = 4,
        flip_prob: float = 0.5,
        **kwargs: Any,
    ) -> None:
        if crop_padding < 0 or not 0 <= flip_prob <= 1:
            raise ValueError(
                'BatchAugmentPreprocessor needs crop_padding >= 0 and '
                f'flip_prob from 0 to 1, got {crop_padding} and {flip_prob}'
            )
        super().__init__(mean, std, **kwargs)
        self.crop_padding = crop_padding
        self.flip_prob = flip_prob
        self._non_blocking = True

    def forward(self, data: dict, training: bool = False) -> dict:
        """Augment (in training) and normalise a batch on the device."""
        inputs, samples = data['inputs'], data.get('data_samples')
        batched = isinstance(samples, BatchedSamples)
        if training:
            if not isinstance(inputs, Tensor):
                inputs = torch.stack(tuple(inputs))
            inputs = self.augment(
                self.cast_data(inputs), samples.seed if batched else None
            )
        if not batched or self.to_onehot or self.batch_augments is not None:
            data = dict(inputs=inputs, data_samples=samples)
            return super().forward(data, training)
        prepared = super().forward(dict(inputs=inputs), training)
        prepared['data_samples'] = samples.to(self.device)
        return prepared

    def augment(self, images: Tensor, seeds: Tensor | None = None) -> Tensor:
        """Crop and flip every image at its own place.

        Args:
            seeds: (N,) int64 on the CPU; drawn on the device when None.
        Shape:
            (N, C, H, W) of any type; the same is returned.
        """
        places = 2 * self.crop_padding + 1
        if seeds is None:
            size, device = len(images), images.device
            top, left = torch.randint(places, (2, size), device=device)
            flip = torch.rand(size, device=device) < self.flip_prob
        else:
            below = np.array([[places], [places], [2**32]], np.uint64)
            drawn = (_random_bits(seeds.numpy(), 3) % below).view(np.int64)
            drawn = torch.from_numpy(drawn)
            top, left, flip = drawn.to(images.device, non_blocking=True)
            flip = flip < self.flip_prob * 2**32
        return crop_and_flip(images, self.crop_padding, top, left, flip)

    def extra_repr(self) -> str:
        """What ``print`` says of the module."""
        return f'crop_padding={self.crop_padding}, flip_prob={self.flip_prob}'


def crop_and_flip(
    images: Tensor, padding: int, top: Tensor, left: Tensor, flip: Tensor
) -> Tensor:
    """Pad with zeros, crop to the old size, then mirror, each in its way.

    A row of a crop is W pixels in a row of the padded batch, and a mirrored
    one is W pixels in a row of that batch read backwards. So all rows are
    fetched by one `index_select`, from two copies of the batch.

    Shape:
        images: (N, C, H, W); top, left: (N,) int64 from 0 to 2 * padding;
        flip: (N,) bool; returns (N, C, H, W).
    """
    n, c, h, w = images.shape
    pixels = F.pad(images, (padding,) * 4).flatten()
    both = torch.cat([pixels, pixels.flip(0)])
    width = w + 2 * padding
    first = _rows_of_images(n, c, h, width, padding, images.device)
    first = first + (top * width + left)[:, None]
    backwards = len(both) - w - first
    first = torch.where(flip[:, None], backwards, first).flatten()
    return both.unfold(0, w, 1).index_select(0, first).view(n, c, h, w)


@lru_cache(maxsize=8)
def _rows_of_images(
    n: int, c: int, h: int, width: int, padding: int, device: torch.device
) -> Tensor:
    """Where the rows of each image's first crop start in a padded batch.

    Shape:
        returns (n, c * h) int64, the same at every step.
    """
    rows = torch.arange(n * c * (h + 2 * padding), device=device) * width
    return rows.view(n, c, -1)[:, :, :h].reshape(n, -1)


def _random_bits(seeds: np.ndarray, count: int) -> np.ndarray:
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
