from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.preprocessors.batch_views_preprocessor import (
    BatchViewsPreprocessor,
    random_bits,
)
from mmdistill.registry import MODELS


@MODELS.register_module()
class BatchAugmentPreprocessor(BatchViewsPreprocessor):
    """Random crop and flip of whole batches on the device, and normalization.

    In training each image is padded with zeros, cropped back to its size at a
    random position and flipped at random. The distribution is that of
    MMPretrain's ``RandomCrop(crop_size=size, padding=crop_padding)`` and
    ``RandomFlip(flip_prob)``. Everything else, and testing as a whole, is
    ClsDataPreprocessor.

    The random numbers of an image depend on its own seed, see
    `BatchViewsPreprocessor`.

    Args:
        mean, std: per channel of the pixels; None for no normalization.
        crop_padding: zero pixels added to each side before the crop.
        flip_prob: probability of a horizontal flip.
        num_views: independent views per image; more than one are returned as
            a list of tensors, as `CoCoRD` expects.
        num_classes, to_rgb, ...: as in ClsDataPreprocessor.
    Shape:
        inputs: (N, C, H, W) uint8, from the dataset.
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
        num_views: int = 1,
        **kwargs: Any,
    ) -> None:
        if crop_padding < 0 or not 0 <= flip_prob <= 1:
            raise ValueError(
                'BatchAugmentPreprocessor needs crop_padding >= 0 and '
                f'flip_prob from 0 to 1, got {crop_padding} and {flip_prob}'
            )
        super().__init__(mean, std, num_views, **kwargs)
        self.crop_padding = crop_padding
        self.flip_prob = flip_prob

    def views(
        self, images: Tensor, seeds: Tensor | None = None
    ) -> Sequence[Tensor]:
        """All views, drawn and cropped at once."""
        return self.augment(images, seeds).chunk(self.num_views)

    def augment(self, images: Tensor, seeds: Tensor | None = None) -> Tensor:
        """Crop and flip every image independently, once per view.

        Args:
            seeds: (N,) int64 on the CPU; None to draw on the device.
        Shape:
            images: (N, C, H, W) of any dtype; returns (num_views * N, C, H,
            W), one view after the other.
        """
        places = 2 * self.crop_padding + 1
        shape = self.num_views, len(images)
        if seeds is None:
            device = images.device
            top, left = torch.randint(places, (2, *shape), device=device)
            flip = torch.rand(shape, device=device) < self.flip_prob
        else:
            below = np.array([[places], [places], [2**32]], np.uint64)
            drawn = random_bits(seeds.numpy(), 3 * self.num_views)
            drawn = drawn.reshape(self.num_views, 3, -1) % below
            drawn = torch.from_numpy(drawn.view(np.int64))
            drawn = drawn.to(images.device, non_blocking=True)
            top, left, flip = drawn.unbind(1)
            flip = flip < self.flip_prob * 2**32
        images = images.expand(self.num_views, *images.shape).flatten(0, 1)
        draws = top.flatten(), left.flatten(), flip.flatten()
        return crop_and_flip(images, self.crop_padding, *draws)

    def extra_repr(self) -> str:
        """The settings shown by ``print``."""
        return (
            f'crop_padding={self.crop_padding}, flip_prob={self.flip_prob}, '
            f'num_views={self.num_views}'
        )


def crop_and_flip(
    images: Tensor, padding: int, top: Tensor, left: Tensor, flip: Tensor
) -> Tensor:
    """Pad with zeros, crop to the old size, then flip, per image.

    A row of a crop is a run of W pixels of the padded batch, and a flipped row
    is a run of W pixels of the reversed batch. One `index_select` on both
    copies therefore gathers all rows.

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
    """Offsets in a padded batch of the rows of each image's top-left crop.

    Shape:
        returns (n, c * h) int64; cached, as it is the same in every step.
    """
    rows = torch.arange(n * c * (h + 2 * padding), device=device) * width
    return rows.view(n, c, -1)[:, :, :h].reshape(n, -1)
