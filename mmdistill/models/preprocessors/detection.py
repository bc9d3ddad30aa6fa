from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor

from mmdistill.registry import MODELS


@MODELS.register_module()
class DetectionPreprocessor(BaseDataPreprocessor):
    """Moves images of any sizes to the device, as numbers from 0 to 1.

    Bytes travel and become floats there. Samples stay on the CPU, where a
    model checks them without waiting for a GPU; resizing and normalizing are
    the model's, too.

    Shape:
        inputs: a list of (3, H, W) uint8, H and W of each its own; returns
        the same as float32.
    Raises:
        TypeError: if images are not uint8.
    Config:
        data_preprocessor=dict(type='DetectionPreprocessor')
    """

    def __init__(self) -> None:
        super().__init__(non_blocking=True)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move and scale ``inputs``; all else is handed on as it is."""
        images = list(data['inputs'])
        for image in images:
            if image.dtype != torch.uint8:
                raise TypeError(
                    'DetectionPreprocessor takes uint8 images, which it '
                    f'divides by 255, got {image.dtype}; leave the conversion '
                    'to float and the normalisation out of the pipeline'
                )
        images = self.cast_data(images)
        return {**data, 'inputs': [image.float() / 255 for image in images]}
