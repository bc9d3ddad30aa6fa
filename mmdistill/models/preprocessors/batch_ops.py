"""Augmentations of whole batches, of each image in its own way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.ops import full_precision

#: How often a box is drawn before the middle of the image is taken.
ATTEMPTS = 10
#: Numbers that a box needs: areas and ratios, and its place.
BOX_DRAWS = 2 * ATTEMPTS + 2


def crop_boxes(
    draws: Tensor,
    size: tuple[int, int],
    scale: Sequence[float],
    ratio: Sequence[float],
) -> Tensor:
    """Random boxes, distributed as MMPretrain's ``RandomResizedCrop``.

    A share of the area and a ratio are drawn up to ten times, until the box
    fits; if none does, it is the largest one in the middle.

    Args:
        draws: uniform from 0 to 1.
        size: height and width of the images.
        scale: range of the box's share of the area.
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
    # Else as large as the limits of the ratio allow.
    h = h.where(found, min(height, round(width / ratio[0])))
    w = w.where(found, min(width, round(height * ratio[1])))
    place = []
    for draw, free in ((draws[-2], height - h), (draws[-1], width - w)):
        # float32 may round the product up to the next whole number
        random = (draw * (free + 1)).floor().minimum(free)
        place.append(random.where(found, (free / 2).floor()))
    return torch.stack([*place, h, w])


def resized_crops(
    images: Tensor, boxes: Tensor, flip: Tensor, size: int
) -> Tensor:
    """Cut every image to its own box, resize it, and mirror it or not.

    Bilinear, and without smoothing where a box is made smaller, as
    MMPretrain's ``RandomResizedCrop`` does it by default (with cv2); a box
    in a small image is hardly ever larger than its crop. Nothing outside of
    a box is seen.

    Shape:
        images: (N, C, H, W) float; boxes: (4, N); flip: (N,) bool;
        returns (N, C, size, size).
    """
    top, left, height, width = boxes[..., None]
    y = _centres(top, height, size, images.shape[2])
    x = _centres(left, width, size, images.shape[3])
    x = torch.where(flip[:, None], x.flip(1), x)
    grid = torch.broadcast_tensors(x[:, None, :], y[:, :, None])
    grid = torch.stack(grid, dim=-1)
    return F.grid_sample(
        images, grid, padding_mode='border', align_corners=False
    )


def _centres(first: Tensor, length: Tensor, size: int, of: int) -> Tensor:
    """Where a crop's pixels lie in the image, -1 and 1 being its edges.

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
    """Multiply brightness, contrast and saturation by each image's factors.

    In this order. Published code shuffles it, but the three commute where
    nothing leaves 0 to 255. Gray images have no saturation. There is no hue.

    Args:
        rgb: whether the channels are red, green, blue, else the reverse.
    Shape:
        images: (N, C, H, W) from 0 to 255, C 1 or 3; factors: (N,).
    """
    brightness, contrast, saturation = (
        factor.view(-1, 1, 1, 1)
        for factor in (brightness, contrast, saturation)
    )
    images = (images * brightness).clamp(0, 255)
    mean = _grey(images, rgb).mean((2, 3), keepdim=True)
    images = mean.lerp(images, contrast).clamp(0, 255)
    return _grey(images, rgb).lerp(images, saturation).clamp(0, 255)


def _grey(images: Tensor, rgb: bool) -> Tensor:
    """Luminance as Pillow defines it (ITU-R 601-2), one channel."""
    if images.shape[1] == 1:
        return images
    channels = images.split(1, dim=1)
    red, green, blue = channels if rgb else channels[::-1]
    return 0.299 * red + 0.587 * green + 0.114 * blue


@full_precision
def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur every image with a Gaussian of its own, renormalized at edges.

    Args:
        sigma: in pixels; below 0.05 a pixel sees itself only.
    Shape:
        images: (N, C, S, S); sigma: (N,).
    """
    line = torch.arange(images.shape[-1], device=sigma.device)
    weights = (-(line / sigma[:, None]).square() / 2).exp()
    # How much of pixel i each pixel j of a row, or of a column, takes.
    weights = weights[:, (line[:, None] - line).abs()]
    weights = weights / weights.sum(1, keepdim=True)
    rows = (images.flatten(1, 2) @ weights).view_as(images)
    columns = rows.transpose(2, 3)
    blurred = (columns.flatten(1, 2) @ weights).view_as(images)
    return blurred.transpose(2, 3)


def between(draws: Tensor, low: float, high: float) -> Tensor:
    """Uniform numbers from 0 to 1, made uniform from low to high."""
    return low + draws * (high - low)
