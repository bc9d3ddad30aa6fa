from __future__ import annotations

import numpy as np


def class_colors(count: int) -> np.ndarray:
    """The colors of PASCAL VOC's segmentation maps; class 0 is black.

    Shape:
        returns (count, 3) uint8, RGB.
    """
    numbers = np.arange(count)
    colors = np.zeros((count, 3), int)
    # The bits of a class number go in turn to red, green and blue; the lowest
    # three bits become the highest bit of each channel.
    for place in range(8):
        for channel in range(3):
            bit = numbers >> (3 * place + channel) & 1
            colors[:, channel] |= bit << (7 - place)
    return colors.astype(np.uint8)
