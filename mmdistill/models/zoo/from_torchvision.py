from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode

from mmdistill.models.zoo.library import (
    ModelInfo,
    ModelNameError,
    NetworkLibrary,
    WeightsError,
    first_line,
    sized,
)

# These build auxiliary classifiers, which only their published files need.
_WITH_AUXILIARY = ('googlenet', 'inception_v3')
# These have position embeddings, or windows, for one size of images.
_FIXED = ('vit_', 'maxvit_')


class Torchvision(NetworkLibrary):
    """Classifiers of torchvision: https://pytorch.org/vision/stable/models"""

    name = 'torchvision'

    def names(self) -> list[str]:
        return torchvision.models.list_models(torchvision.models)

    def info(self, name: str) -> ModelInfo:
        weights = self._weights(name)
        if weights is None:
            return ModelInfo()
        data = weights.transforms()
        crop, resized = data.crop_size[0], data.resize_size[0]
        interpolation = InterpolationMode(data.interpolation).value
        return ModelInfo(
            size=(crop, crop),
            mean=tuple(255 * x for x in data.mean),
            std=tuple(255 * x for x in data.std),
            interpolation=interpolation,
            crop=crop / resized,
            num_classes=len(weights.meta['categories']),
            classes=tuple(weights.meta['categories']),
            is_fixed=name.startswith(_FIXED),
        )

    def build(
        self,
        name: str,
        num_classes: int | None = None,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> nn.Module:
        if in_channels != 3:
            raise ModelNameError(
                f'torchvision/{name} takes images of 3 channels, not of '
                f'{in_channels}; timm has its counterpart'
            )
        if num_classes:
            options['num_classes'] = num_classes
        if name in _WITH_AUXILIARY:
            options = dict(aux_logits=False, init_weights=True, **options)
        make = partial(torchvision.models.get_model, name)
        key = 'input_size' if name.startswith('maxvit') else 'image_size'
        return sized(
            make, key, size if name.startswith(_FIXED) else None, **options
        )

    def published(
        self,
        name: str,
        num_classes: int | None = None,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> dict[str, Tensor]:
        weights = self._weights(name)
        if weights is None:
            raise WeightsError(f'torchvision publishes none for {name}')
        file = PurePosixPath(urlparse(weights.url).path).name
        try:
            return dict(weights.get_state_dict(check_hash=True))
        except Exception as error:
            raise WeightsError(
                f'the published weights of torchvision/{name} could not be '
                f'had ({first_line(error)}). Put {file} into '
                f'{torch.hub.get_dir()}/checkpoints'
            ) from error

    def translate(
        self, state: dict[str, Tensor], network: nn.Module
    ) -> dict[str, Tensor]:
        """Without the auxiliary classifiers, which we do not build."""
        return {
            key: value
            for key, value in state.items()
            if not key.lower().startswith(('aux1.', 'aux2.', 'auxlogits.'))
        }

    @staticmethod
    def _weights(name: str) -> Any:
        """The weights that torchvision holds for the best, or None."""
        known = list(torchvision.models.get_model_weights(name))
        return known[-1] if known else None
