"""Augmentations of whole batches with random parameters per image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.ops import full_precision

#: Attempts to draw a box before falling back to a center crop.
ATTEMPTS = 10
#: Random numbers per box: areas, aspect ratios, and the position.
BOX_DRAWS = 2 * ATTEMPTS + 2


def crop_boxes(
    draws: Tensor,
    size: tuple[int, int],
    scale: Sequence[float],
    ratio: Sequence[float],
) -> Tensor:
    """Random boxes, distributed as MMPretrain's ``RandomResizedCrop``.

    Area and aspect ratio are drawn up to ten times, until the box fits into
    the image; if none does, the box is the largest center crop.

    Args:
        draws: uniform random numbers in [0, 1].
        size: height and width of the images.
        scale: range of the box's fraction of the area.
        ratio: range of its width over its height, drawn on a log scale.
    Shape:
        draws: (BOX_DRAWS, N); returns (4, N): top, left, height and width in
        whole pixels.
    """
    height, width = size
    area = between(draws[:ATTEMPTS], *scale) * (height * width)
    aspect = between(draws[ATTEMPTS:-2], *map(math.log, ratio)).exp()
    h, w = (area / aspect).sqrt().round(), (area * aspect).sqrt().round()
    fits = (h > 0) & (h <= height) & (w > 0) & (w <= width)
    found = fits.any(0)
    first = fits.byte().argmax(0, keepdim=True)
    h, w = h.gather(0, first)[0], w.gather(0, first)[0]
    # Fallback: the largest box that the range of the ratio allows.
    h = h.where(found, min(height, round(width / ratio[0])))
    w = w.where(found, min(width, round(height * ratio[1])))
    place = []
    for draw, free in ((draws[-2], height - h), (draws[-1], width - w)):
        # In float32 the product may round up to free + 1; clamp it.
        random = (draw * (free + 1)).floor().minimum(free)
        place.append(random.where(found, (free / 2).floor()))
    return torch.stack([*place, h, w])


def resized_crops(
    images: Tensor, boxes: Tensor, flip: Tensor, size: int
) -> Tensor:
    """Crop every image to its box, resize the crop, and flip it if chosen.

    Resizing is bilinear without antialiasing, as in MMPretrain's
    ``RandomResizedCrop`` by default (cv2); boxes of small images are rarely
    larger than the crop. Pixels outside a box have no influence.

    Shape:
        images: (N, C, H, W) float; boxes: (4, N); flip: (N,) bool;
        returns (N, C, size, size).
    """
    top, left, height, width = boxes[..., None]
    y = _centers(top, height, size, images.shape[2])
    x = _centers(left, width, size, images.shape[3])
    x = torch.where(flip[:, None], x.flip(1), x)
    grid = torch.broadcast_tensors(x[:, None, :], y[:, :, None])
    grid = torch.stack(grid, dim=-1)
    return F.grid_sample(
        images, grid, padding_mode='border', align_corners=False
    )


def _centers(first: Tensor, length: Tensor, size: int, of: int) -> Tensor:
    """Pixel centers of a crop in image coordinates, from -1 to 1.

    Shape:
        first, length: (N, 1), the box along this axis; returns (N, size).
    """
    steps = (torch.arange(size, device=first.device) + 0.5) / size
    places = first + steps * length - 0.5
    places = places.maximum(first).minimum(first + length - 1)
    return (2 * places + 1) / of - 1


def color_jitter(
    images: Tensor,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    rgb: bool = True,
) -> Tensor:
    """Scale brightness, contrast and saturation by factors per image.

    The order is fixed. Published code shuffles it, but the three operations
    commute unless values are clipped to [0, 255]. Saturation has no effect on
    gray images, and the hue is not changed.

    Args:
        rgb: True if the channels are in RGB order, False for BGR.
    Shape:
        images: (N, C, H, W) from 0 to 255, C 1 or 3; factors: (N,).
    """
    brightness, contrast, saturation = (
        factor.view(-1, 1, 1, 1)
        for factor in (brightness, contrast, saturation)
    )
    images = (images * brightness).clamp(0, 255)
    mean = _gray(images, rgb).mean((2, 3), keepdim=True)
    images = mean.lerp(images, contrast).clamp(0, 255)
    return _gray(images, rgb).lerp(images, saturation).clamp(0, 255)


def _gray(images: Tensor, rgb: bool) -> Tensor:
    """One channel of luminance as in Pillow (ITU-R 601-2)."""
    if images.shape[1] == 1:
        return images
    channels = images.split(1, dim=1)
    red, green, blue = channels if rgb else channels[::-1]
    return 0.299 * red + 0.587 * green + 0.114 * blue


@full_precision
def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur every image with its own sigma; kernels renormalize at edges.

    Args:
        sigma: in pixels; below 0.05 the image is unchanged.
    Shape:
        images: (N, C, S, S); sigma: (N,).
    """
    line = torch.arange(images.shape[-1], device=sigma.device)
    weights = (-(line / sigma[:, None]).square() / 2).exp()
    # (N, S, S): the weight of pixel i in the blurred pixel j of a line.
    weights = weights[:, (line[:, None] - line).abs()]
    weights = weights / weights.sum(1, keepdim=True)
    rows = (images.flatten(1, 2) @ weights).view_as(images)
    columns = rows.transpose(2, 3)
    blurred = (columns.flatten(1, 2) @ weights).view_as(images)
    return blurred.transpose(2, 3)


def between(draws: Tensor, low: float, high: float) -> Tensor:
    """Scale uniform random numbers from [0, 1] to [low, high]."""
    return low + draws * (high - low)
