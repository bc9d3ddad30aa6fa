"""Images that are in memory already, as pixels of one kind."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps

_CHANNELS = (1, 3, 4)
_TAKEN = (
    'a path, a PIL image, a NumPy array (H, W, 3) in RGB or (H, W) of uint8, '
    'or a torch tensor (3, H, W) of uint8'
)


def pixels_of(image: object, upright: bool = True) -> np.ndarray:
    """Pixels as a picture file of them would be read.

    An alpha channel is left out, a palette looked up, and of 16 bits a
    channel the higher 8 are taken.

    Args:
        image: a PIL image, or an array or tensor of uint8.
        upright: turn a PIL image as its EXIF data say.
    Shape:
        (H, W), (H, W, 1 or 3 or 4) or (1 or 3 or 4, H, W) of a tensor;
        returns (H, W) gray or (H, W, 3) RGB, uint8.
    Raises:
        TypeError, ValueError: for anything else.
    """
    if isinstance(image, Image.Image):
        return _of_pil(ImageOps.exif_transpose(image) if upright else image)
    if isinstance(image, torch.Tensor):
        array = image.detach().cpu().numpy()
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    elif isinstance(image, np.ndarray):
        array = image
    else:
        raise TypeError(
            f'it is a {type(image).__name__}; an image is {_TAKEN}'
        )
    if array.dtype != np.uint8:
        raise TypeError(
            f'it has values of {array.dtype}; give uint8, 0 to 255: the '
            'normalization is in the student'
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    is_image = array.ndim == 2 or (
        array.ndim == 3 and array.shape[2] in _CHANNELS
    )
    if not is_image or not array.size:
        raise ValueError(
            f'it has the shape {tuple(image.shape)}; an image is {_TAKEN}. '
            'Several images are a list of them'
        )
    return np.array(array if array.ndim == 2 else array[..., :3])


def _of_pil(image: Image.Image) -> np.ndarray:
    if image.mode.startswith('I'):  # 16 bits, also where PIL says 32
        return (np.asarray(image).clip(0, 0xFFFF) >> 8).astype(np.uint8)
    if image.mode == 'F':
        raise TypeError(
            'it is a PIL image of floats; convert it to L or RGB first'
        )
    gray = image.mode in ('1', 'L', 'LA', 'La')
    return np.array(image.convert('L' if gray else 'RGB'))
