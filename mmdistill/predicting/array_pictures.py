"""Pictures for a student that learned from arrays and not from files."""

from __future__ import annotations

import cv2
import mmcv
import numpy as np
from mmengine.logging import print_log

from mmdistill.export import ExportError, Student


class ArrayPictures:
    """Pictures for a student of a dataset of arrays.

    Args:
        student: its channels say whether pictures are gray.
        size: (height, width) to resize to, None to leave it to the pipeline.
    """

    def __init__(self, student: Student, size: tuple[int, int] | None) -> None:
        self._size = size
        self._channels = student.channels
        if self._channels not in (1, 3):
            raise ExportError(
                f'the student takes images of {self._channels} channels, and '
                'pictures have 1 or 3'
            )
        # The network sees RGB; the preprocessor may turn round what it gets.
        self._bgr = getattr(student.model.data_preprocessor, 'to_rgb', False)
        self._said = False

    def read(self, path: str) -> dict:
        """What a dataset of arrays would give of a file's picture."""
        flag = 'grayscale' if self._channels == 1 else 'color'
        image = mmcv.imread(path, flag)
        if image is None:
            raise ValueError('it is no picture')
        return self.taken(image if image.ndim == 2 else image[..., ::-1])

    def taken(self, pixels: np.ndarray) -> dict:
        """The same of pixels (H, W) or (H, W, 3) in RGB."""
        if self._channels == 1 and pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        elif self._channels == 3 and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        if self._size and pixels.shape[:2] != self._size:
            self._say(pixels.shape[:2])
            pixels = mmcv.imresize(
                np.ascontiguousarray(pixels),
                self._size[::-1],
                backend='pillow',
            )
        if pixels.ndim == 3 and self._bgr:
            pixels = pixels[..., ::-1]
        return as_results(np.ascontiguousarray(pixels))

    def _say(self, shape: tuple[int, ...]) -> None:
        if not self._said:
            self._said = True
            color = 'gray' if self._channels == 1 else 'RGB'
            print_log(
                'the student learned from arrays and not from picture files: '
                f'pictures are made {color} and resized to {self._size} '
                f'(height, width), the first from {tuple(shape)}',
                logger='current',
            )


def as_results(image: np.ndarray) -> dict:
    """What a pipeline calls an image that is loaded."""
    shape = image.shape[:2]
    return dict(img=image, img_shape=shape, ori_shape=shape)
