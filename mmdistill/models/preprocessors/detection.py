from __future__ import annotations

import torch
from mmengine.model import BaseDataPreprocessor

from mmdistill.registry import MODELS


@MODELS.register_module()
class DetectionPreprocessor(BaseDataPreprocessor):
    """Move images of different sizes to the device and scale them to [0, 1].

    Images are transferred as uint8 and converted on the device. Samples stay
    on the CPU, so that the model can check them without a GPU sync. The model
    resizes and normalizes the images itself.

    Shape:
        inputs: a list of (3, H, W) uint8, with H and W per image; returns the
        list as float32.
    Raises:
        TypeError: if images are not uint8.
    Config:
        data_preprocessor=dict(type='DetectionPreprocessor')
    """

    def __init__(self) -> None:
        super().__init__(non_blocking=True)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move and scale ``inputs``; other entries are passed through."""
        images = list(data['inputs'])
        for image in images:
            if image.dtype != torch.uint8:
                raise TypeError(
                    'DetectionPreprocessor takes uint8 images, which it '
                    f'divides by 255, got {image.dtype}; leave the conversion '
                    'to float and the normalization out of the pipeline'
                )
        images = self.cast_data(images)
        return {**data, 'inputs': [image.float() / 255 for image in images]}
