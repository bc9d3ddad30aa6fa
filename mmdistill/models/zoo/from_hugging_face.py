from __future__ import annotations

import os
from typing import Any

from torch import Tensor, nn

from mmdistill.models.zoo.hub import can_reach_hub
from mmdistill.models.zoo.library import (
    ModelInfo,
    ModelNameError,
    NetworkLibrary,
    WeightsError,
    first_line,
)

# Encoders of images that have no classifier of their own.
_ENCODERS = (
    'clip_vision_model',
    'dinov3_convnext',
    'dinov3_vit',
    'siglip_vision_model',
)
# How transformers numbers PIL's interpolations.
_INTERPOLATIONS = {0: 'nearest', 1: 'lanczos', 2: 'bilinear', 3: 'bicubic'}


class HuggingFace(NetworkLibrary):
    """Hugging Face's transformers: github.com/huggingface/transformers

    A name is an architecture with its default settings ('hf/dinov2'), a
    folder with ``config.json`` and weights, as ``save_pretrained`` writes
    ('hf/./folder', 'hf//data/folder'), or what the hub calls it
    ('hf/facebook/dinov2-small').
    Code of a repository is never run.
    """

    name = 'hf'
    package = 'transformers'

    def names(self) -> list[str]:
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS,
        )

        return sorted({*CLASSIFIERS, *_ENCODERS})

    def check(self, name: str) -> None:
        if '/' not in name:
            super().check(name)
        elif name.startswith(('.', '/')) and not os.path.isdir(name):
            raise ModelNameError(
                f'hf/{name} names the folder {name!r}, which does not exist; '
                f'the current folder is {os.getcwd()!r}'
            )

    def info(self, name: str) -> ModelInfo:
        config = self._config(name)
        data = _image_processor(name) if '/' in name else {}
        size = getattr(config, 'image_size', None) or 224
        size = (size, size) if isinstance(size, int) else tuple(size)
        crop = data.get('crop_size') or data.get('size') or {}
        if 'height' in crop:
            size = crop['height'], crop['width']
        settings = {}
        if data.get('do_normalize', True) and 'image_mean' in data:
            scale = 1 / data.get('rescale_factor', 1 / 255)
            settings = dict(
                mean=tuple(scale * x for x in data['image_mean']),
                std=tuple(scale * x for x in data['image_std']),
            )
        labels = config.id2label if _classifies(config) else {}
        names = tuple(labels[i].split(',')[0] for i in sorted(labels))
        return ModelInfo(
            size=size,
            interpolation=_INTERPOLATIONS.get(data.get('resample'), 'bicubic'),
            num_classes=len(names),
            classes=names if '/' in name and names else None,
            is_fixed=hasattr(config, 'image_size'),
            **settings,
        )

    def build(
        self,
        name: str,
        num_classes: int | None = None,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> nn.Module:
        config = self._config(name)
        if in_channels != 3:
            options['num_channels'] = in_channels
        if num_classes:
            options['num_labels'] = num_classes
        if size is not None and hasattr(config, 'image_size'):
            options.setdefault(
                'image_size', size[0] if size[0] == size[1] else size
            )
        unknown = [key for key in options if not hasattr(config, key)]
        if unknown:
            raise ModelNameError(
                f'hf/{name} ({type(config).__name__}) has no settings '
                f'{unknown}'
            )
        config.update(options)
        return self._kind(config, num_classes).from_config(config)

    def published(
        self,
        name: str,
        num_classes: int | None = None,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> dict[str, Tensor]:
        if '/' not in name:
            raise WeightsError(
                f'hf/{name} is an architecture without published weights; '
                'name the folder of a model (hf/./FOLDER)'
            )
        built = self.build(name, num_classes, in_channels, size, **options)
        try:
            found = type(built).from_pretrained(
                name,
                config=built.config,
                ignore_mismatched_sizes=True,
                **_where(name),
            )
        except Exception as error:
            raise WeightsError(
                f'the weights of hf/{name} could not be had '
                f'({first_line(error)}). Put its config.json and '
                'model.safetensors into a folder and name it hf/./FOLDER'
            ) from error
        return found.state_dict()

    def _config(self, name: str) -> Any:
        from transformers import AutoConfig

        if '/' not in name:
            config = AutoConfig.for_model(name)
        else:
            try:
                config = AutoConfig.from_pretrained(name, **_where(name))
            except Exception as error:
                raise ModelNameError(
                    f'the config of hf/{name} could not be had '
                    f'({first_line(error)}). Put its config.json and '
                    'model.safetensors into a folder and name it '
                    'hf/./FOLDER'
                ) from error
        # Of CLIP and its like the part that sees.
        vision = getattr(config, 'vision_config', None)
        return config if vision is None or _classifies(config) else vision

    def _kind(self, config: Any, num_classes: int | None) -> Any:
        """Which of transformers' classes is built of a config."""
        from transformers import AutoModel, AutoModelForImageClassification

        known = config.model_type in self.names()
        if num_classes is None:
            classifies = _classifies(config)
        else:
            classifies = num_classes > 0 and config.model_type not in _ENCODERS
        return (
            AutoModelForImageClassification
            if known and classifies
            else AutoModel
        )


def _where(name: str) -> dict[str, bool]:
    """How transformers looks for a model: where nothing can be fetched,
    among files alone.
    """
    is_folder = os.path.isdir(name)
    return dict(local_files_only=is_folder or not can_reach_hub())


def _classifies(config: Any) -> bool:
    """Whether the model of a config has a classifier."""
    made = getattr(config, 'architectures', None)
    if made:
        return made[0].endswith('ForImageClassification')
    return config.model_type not in _ENCODERS


def _image_processor(name: str) -> dict:
    """What ``preprocessor_config.json`` says; nothing if there is none."""
    from transformers import BaseImageProcessor

    try:
        return BaseImageProcessor.get_image_processor_dict(
            name, **_where(name)
        )[0]
    except OSError:
        return {}
