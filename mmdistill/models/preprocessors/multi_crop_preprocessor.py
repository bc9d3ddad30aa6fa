from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdistill.models.preprocessors.batch_ops import (
    BOX_DRAWS,
    between,
    color_jitter,
    crop_boxes,
    gaussian_blur,
    resized_crops,
)
from mmdistill.models.preprocessors.batch_views_preprocessor import (
    BatchViewsPreprocessor,
    random_bits,
)
from mmdistill.ops.crops import CropGroup, check_range, crop_groups
from mmdistill.registry import MODELS

#: Optional operations on a view, each with a probability, in this order.
CHOICES = 'flip', 'jitter', 'grayscale', 'blur', 'solarize'
#: Random numbers per view and image. All are always drawn, so switching an
#: option on does not change the crops.
DRAWS = len(CHOICES) + 4 + BOX_DRAWS
#: A sigma so small that the blur leaves the image unchanged.
NO_BLUR = 0.01


@MODELS.register_module()
class MultiCropPreprocessor(BatchViewsPreprocessor):
    """Multi-crop of whole batches on the device, and normalization.

    In training a uint8 batch becomes a list of views, global crops first.
    Boxes and flips have the distribution of `MultiCrop`, which is the
    transform for images of different sizes. Crops of one size are processed
    as one batch. In testing it is a ClsDataPreprocessor. The random numbers of
    an image depend on its own seed, see `BatchViewsPreprocessor`.

    Every option with a probability takes one number for all crops, or a list
    with one number per crop (DINO and BYOL blur the two global crops
    differently). The hue is not changed, because that needs a conversion to
    another color space.

    Paper: Caron et al., Unsupervised Learning of Visual Features by
    Contrasting Cluster Assignments (SwAV), NeurIPS 2020,
    https://arxiv.org/abs/2006.09882, section 3.2.

    Args:
        mean, std: per channel of the pixels; None for no normalization.
        num_global, num_local, global_size, local_size: as in `MultiCrop`,
            with defaults for images of 32 pixels.
        global_scale, local_scale, ratio: likewise.
        flip_prob: probability of a horizontal flip.
        brightness, contrast, saturation: jitter strength x; the factor is
            drawn from [max(0, 1 - x), 1 + x], and 0 turns the jitter off.
        jitter_prob: probability of the color jitter.
        grayscale_prob: probability of conversion to gray.
        blur_prob: probability of a Gaussian blur.
        blur_sigma: range of its sigma, in pixels of the crop.
        solarize_prob: probability of inverting the pixels from 128 up.
        num_classes, to_rgb, ...: as in ClsDataPreprocessor; ``to_rgb=True``
            means that the input images are in BGR order.
    Shape:
        inputs: (N, C, H, W) uint8; in training returns num_global tensors (N,
        C, global_size, global_size), then num_local of local_size.
    Raises:
        ValueError: for crops that `MultiCrop` rejects, local crops larger
            than the images, or probabilities outside [0, 1].
    Config:
        data_preprocessor=dict(
            type='MultiCropPreprocessor', mean=[...], std=[...],
            num_local=4, brightness=0.4, contrast=0.4, saturation=0.2,
            grayscale_prob=0.2, blur_prob=[1.0, 0.1, 0.5, 0.5, 0.5, 0.5])
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        num_global: int = 2,
        num_local: int = 6,
        global_size: int = 32,
        local_size: int = 16,
        global_scale: Sequence[float] = (0.14, 1.0),
        local_scale: Sequence[float] = (0.05, 0.14),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        flip_prob: float | Sequence[float] = 0.5,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        jitter_prob: float | Sequence[float] = 0.8,
        grayscale_prob: float | Sequence[float] = 0.0,
        blur_prob: float | Sequence[float] = 0.0,
        blur_sigma: Sequence[float] = (0.1, 2.0),
        solarize_prob: float | Sequence[float] = 0.0,
        **kwargs: Any,
    ) -> None:
        groups = crop_groups(
            num_global, num_local, global_size, local_size, global_scale,
            local_scale, ratio,
        )  # fmt: skip
        super().__init__(mean, std, num_global + num_local, **kwargs)
        self.crop_groups = groups
        self.ratio = tuple(ratio)
        self.strengths = brightness, contrast, saturation
        if min(self.strengths) < 0:
            raise ValueError(
                'MultiCropPreprocessor needs brightness, contrast and '
                f'saturation >= 0, got {self.strengths}'
            )
        self.blur_sigma = tuple(blur_sigma)
        check_range('blur_sigma', self.blur_sigma)
        given = dict(
            flip=flip_prob,
            jitter=jitter_prob,
            grayscale=grayscale_prob,
            blur=blur_prob,
            solarize=solarize_prob,
        )
        probs = {
            name: self._of_every_view(f'{name}_prob', given[name])
            for name in CHOICES
        }
        #: The operations with a probability above 0.
        self.used = {name for name, prob in probs.items() if any(prob)}
        if not any(self.strengths):
            self.used.discard('jitter')
        probs = torch.tensor(list(probs.values()), dtype=torch.float)
        self.register_buffer('probs', probs, persistent=False)

    def _of_every_view(
        self, key: str, prob: float | Sequence[float]
    ) -> list[float]:
        views = self.num_views
        probs = [prob] * views if np.isscalar(prob) else list(prob)
        if len(probs) != views or not all(0 <= p <= 1 for p in probs):
            raise ValueError(
                f'MultiCropPreprocessor takes {key} from 0 to 1, one number '
                f'or {views} of them, one a crop, got {prob}'
            )
        return probs

    def views(self, images: Tensor, seeds: Tensor | None = None) -> list:
        """The global crops, then the local ones.

        Args:
            seeds: (N,) int64 on the CPU; None to draw on the device.
        Shape:
            images: (N, C, H, W) from 0 to 255; returns float crops.
        """
        self._check(images)
        draws = self._draw(len(images), seeds, images.device)
        views, start = [], 0
        for group in self.crop_groups:
            part = slice(start, start + group.number)
            crops = self._crops(
                images, group, draws[:, part], self.probs[:, part]
            )
            views += crops.chunk(group.number)
            start = part.stop
        return views

    def _check(self, images: Tensor) -> None:
        size, smallest = min(images.shape[-2:]), self.crop_groups[-1].size
        if len(self.crop_groups) > 1 and smallest > size:
            raise ValueError(
                f'local crops of {smallest} pixels are larger than the '
                f'images, {tuple(images.shape[-2:])}; set '
                'data_preprocessor.local_size to less'
            )
        if images.shape[1] not in (1, 3):
            raise ValueError(
                'MultiCropPreprocessor takes images of 1 or 3 channels, got '
                f'{images.shape[1]}'
            )

    def _draw(
        self, size: int, seeds: Tensor | None, device: torch.device
    ) -> Tensor:
        """Uniform random numbers in [0, 1): (DRAWS, num_views, size)."""
        count = self.num_views * DRAWS
        if seeds is None:
            draws = torch.rand(count, size, device=device)
        else:
            bits = random_bits(seeds.numpy(), count) >> np.uint64(40)
            draws = torch.from_numpy(bits.astype(np.float32) / 2**24)
            draws = draws.to(device, non_blocking=True)
        return draws.view(self.num_views, DRAWS, size).transpose(0, 1)

    def _crops(
        self, images: Tensor, group: CropGroup, draws: Tensor, probs: Tensor
    ) -> Tensor:
        """All crops of one size, one view after the other.

        Shape:
            draws: (DRAWS, group.number, N); probs: (len(CHOICES),
            group.number); returns (group.number * N, C, size, size).
        """
        choices, amounts, places = draws.split([len(CHOICES), 4, BOX_DRAWS])
        choices = (choices < probs[..., None]).flatten(1)
        chosen = dict(zip(CHOICES, choices, strict=True))
        boxes = crop_boxes(
            places.flatten(1), images.shape[-2:], group.scale, self.ratio
        )
        images = images.float().expand(group.number, *images.shape)
        crops = resized_crops(
            images.flatten(0, 1), boxes, chosen['flip'], group.size
        )
        return self._recolored(crops, chosen, amounts.flatten(1))

    def _recolored(
        self, crops: Tensor, chosen: dict[str, Tensor], amounts: Tensor
    ) -> Tensor:
        """Apply jitter, grayscale, blur and solarization where chosen.

        Shape:
            crops: (M, C, size, size); chosen: (M,) bool each; amounts:
            (4, M) in [0, 1], for the three color factors and the sigma.
        """
        *factors, sigma = amounts
        if self.used & {'jitter', 'grayscale'}:
            factors = [
                between(draw, max(0, 1 - x), 1 + x).where(chosen['jitter'], 1)
                for draw, x in zip(factors, self.strengths, strict=True)
            ]
            factors[2] = factors[2].where(~chosen['grayscale'], 0)
            crops = color_jitter(crops, *factors, rgb=not self.to_rgb)
        if 'blur' in self.used:
            sigma = between(sigma, *self.blur_sigma)
            sigma = sigma.where(chosen['blur'], NO_BLUR)
            crops = gaussian_blur(crops, sigma)
        if 'solarize' in self.used:
            bright = chosen['solarize'].view(-1, 1, 1, 1) & (crops >= 128)
            crops = crops.where(~bright, 255 - crops)
        return crops

    def extra_repr(self) -> str:
        """The settings shown by ``print``."""
        return f'{self.crop_groups}, used={sorted(self.used)}'
