"""Load images, instances and segmentation maps as torchvision tensors."""

from __future__ import annotations

import io

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine import fileio
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image

from mmdistill.registry import TRANSFORMS

#: Label of ignored pixels.
VOID = 255


class UnreadableFile(ValueError):
    """Raised for a file that exists but cannot be decoded."""


def _unreadable(path: str, reason: Exception) -> UnreadableFile:
    first_line = str(reason).partition('\n')[0]
    return UnreadableFile(f'{path!r} cannot be decoded ({first_line})')


@TRANSFORMS.register_module()
class LoadRGBImage(BaseTransform):
    """Decode ``img_path`` to an RGB image, a torchvision ``Image``.

    EXIF orientation is ignored, because annotations refer to the stored
    pixels. Of 16 bits a channel the higher 8 are taken. A sample with
    ``corrupt=True`` gets a black image.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableFile: if the file is truncated or not an image.
        ValueError: if its size is not the annotated one.
    Config:
        pipeline=[dict(type='LoadRGBImage'), dict(type='LoadInstances'),
                  dict(type='PackDenseInputs')]
    """

    def transform(self, results: dict) -> dict:
        """Add ``img``, (3, H, W) uint8, and ``ori_shape``."""
        annotated = results.get('height'), results.get('width')
        if results.get('corrupt'):
            image = torch.zeros(3, *annotated, dtype=torch.uint8)
        else:
            image = _read_rgb(results['img_path'])
        shape = tuple(image.shape[1:])
        if None not in annotated and shape != annotated:
            raise ValueError(
                f'{results["img_path"]!r} is {shape[0]} x {shape[1]} pixels, '
                f'but annotated as {annotated[0]} x {annotated[1]}; the '
                'annotations are not those of this image'
            )
        results.update(img=tv_tensors.Image(image), ori_shape=shape)
        return results


def _read_rgb(path: str) -> Tensor:
    content = fileio.get(path)
    try:
        encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        image = decode_image(encoded, ImageReadMode.RGB)
    except (RuntimeError, ValueError) as error:
        raise _unreadable(path, error) from error
    if image.dtype == torch.uint16:  # of a PNG: the higher byte, as OpenCV
        image = (image.int() >> 8).byte()
    return image


@TRANSFORMS.register_module()
class LoadInstances(BaseTransform):
    """Convert boxes, labels and, if the dataset has outlines, masks.

    Raises:
        KeyError: if no `LoadRGBImage` came before it.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_bboxes``, ``gt_labels``, ``gt_masks``, ``gt_difficult``."""
        shape = results['ori_shape']
        results['gt_bboxes'] = tv_tensors.BoundingBoxes(
            torch.from_numpy(results['boxes']),
            format='XYXY',
            canvas_size=shape,
        )
        results['gt_labels'] = torch.from_numpy(results['labels'])
        if 'difficult' in results:
            results['gt_difficult'] = torch.from_numpy(results['difficult'])
        if 'outlines' in results:
            masks = _decode_masks(results['outlines'], shape)
            results['gt_masks'] = tv_tensors.Mask(masks)
        return results


def _decode_masks(outlines: list, shape: tuple[int, int]) -> Tensor:
    """Polygons or run lengths to masks (n, H, W) bool."""
    if not outlines:
        return torch.zeros(0, *shape, dtype=torch.bool)
    encoded = [_run_lengths(outline, shape) for outline in outlines]
    masks = torch.from_numpy(coco_mask.decode(encoded))
    # The memory layout stays (n, W, H); the device transposes it faster.
    return masks.view(torch.bool).permute(2, 0, 1)


def _run_lengths(outline: list | dict, shape: tuple[int, int]) -> dict:
    if isinstance(outline, list):
        return coco_mask.merge(coco_mask.frPyObjects(outline, *shape))
    if isinstance(outline['counts'], list):
        return coco_mask.frPyObjects(outline, *shape)
    return outline


@TRANSFORMS.register_module()
class LoadSemanticMap(BaseTransform):
    """Load the segmentation map from the PNG file ``map_path``.

    Classes are the palette indices or the gray values; 255 is ignored. A
    sample with ``corrupt=True`` gets a map of 255.

    Raises:
        FileNotFoundError: if there is no such file.
        UnreadableFile: if it is truncated or not an image.
        ValueError: if it is an RGB image, or differs in size from the image.
    """

    def transform(self, results: dict) -> dict:
        """Add ``gt_sem_seg``, (1, H, W) uint8."""
        shape = results['ori_shape']
        if results.get('corrupt'):
            classes = torch.full(shape, VOID, dtype=torch.uint8)
        else:
            classes = torch.from_numpy(_read_map(results['map_path']))
        if classes.shape != shape:
            raise ValueError(
                f'{results["map_path"]!r} is {tuple(classes.shape)} pixels, '
                f'its image {shape}; correct data_prefix'
            )
        results['gt_sem_seg'] = tv_tensors.Mask(classes[None])
        return results


def _read_map(path: str) -> np.ndarray:
    content = fileio.get(path)
    try:
        image = Image.open(io.BytesIO(content))
        classes = np.array(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from error
    if image.mode not in ('P', 'L'):
        raise ValueError(
            f'{path!r} is an image of mode {image.mode!r}; a map of classes '
            'has a palette or is gray, one byte a pixel'
        )
    return classes
