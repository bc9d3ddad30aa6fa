from __future__ import annotations

import sys
from functools import partial
from typing import Any

from torch import Tensor, nn

from mmdistill.models.zoo.hub import cached_file, can_reach_hub
from mmdistill.models.zoo.library import (
    ModelInfo,
    ModelNameError,
    NetworkLibrary,
    WeightsError,
    first_line,
    sized,
)

_FILES = ('model.safetensors', 'pytorch_model.bin')
_ADVICE = (
    "Give a file of them: a teacher's as its ckpt (teacher_ckpt=FILE), a "
    "student's in init_cfg=dict(type='Pretrained', checkpoint=FILE), such as"
)


class Timm(NetworkLibrary):
    """PyTorch Image Models: https://github.com/huggingface/pytorch-image-models

    A name may have the tag of published weights, as in
    'vit_tiny_patch16_224.augreg_in21k'.
    """

    name = 'timm'

    def names(self) -> list[str]:
        import timm

        return timm.list_models()

    def check(self, name: str) -> None:
        import timm

        if not timm.is_model(name):
            raise ModelNameError(self._unknown(name, self.names()))
        arch, _, tag = name.partition('.')
        tags = timm.list_pretrained(f'{arch}.*')
        if tag and name not in tags:
            raise ModelNameError(self._unknown(name, tags))

    def info(self, name: str) -> ModelInfo:
        import timm
        from timm.data import resolve_data_config

        published = timm.get_pretrained_cfg(name)
        if published is None:
            return ModelInfo()
        settings = published.to_dict()
        data = resolve_data_config(pretrained_cfg=settings)
        return ModelInfo(
            size=tuple(data['input_size'][1:]),
            mean=tuple(255 * x for x in data['mean']),
            std=tuple(255 * x for x in data['std']),
            interpolation=data['interpolation'],
            crop=data['crop_pct'],
            num_classes=published.num_classes,
            classes=_classes(settings),
            is_fixed=bool(published.fixed_input_size),
        )

    def build(
        self,
        name: str,
        num_classes: int | None = None,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> nn.Module:
        import timm

        if num_classes is not None:
            options['num_classes'] = num_classes
        make = partial(timm.create_model, name, in_chans=in_channels)
        return sized(make, 'img_size', size, **options)

    def published(
        self,
        name: str,
        num_classes: int | None = None,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> dict[str, Tensor]:
        import timm

        known = timm.get_pretrained_cfg(name)
        if known is None or not known.has_weights:
            raise WeightsError(f'timm publishes no weights for {name}')
        options['pretrained'] = True
        if known.hf_hub_id and not can_reach_hub():
            file = cached_file(known.hf_hub_id, _FILES)
            if file is None:
                raise WeightsError(
                    f'the published weights of timm/{name} are neither in '
                    'the cache of the Hugging Face hub, nor can they be '
                    f'fetched. {_ADVICE} {_FILES[0]} of {known.hf_hub_id}'
                )
            options['pretrained_cfg_overlay'] = dict(file=file)
        try:
            return self.build(
                name, num_classes, in_channels, size, **options
            ).state_dict()
        except Exception as error:  # of urllib, the hub, or timm itself
            raise WeightsError(
                f'the published weights of timm/{name} could not be had '
                f'({first_line(error)}). {_ADVICE} the file of '
                f'{known.hf_hub_id or known.url}'
            ) from error

    def translate(
        self, state: dict[str, Tensor], network: nn.Module
    ) -> dict[str, Tensor]:
        """Apply the filter of the network's file, which knows older layouts.

        It also resizes position embeddings.
        """
        module = sys.modules[type(network).__module__]
        known = getattr(module, 'checkpoint_filter_fn', None)
        if known is None or state.keys() <= network.state_dict().keys():
            return state
        return dict(known(state, network))


def _classes(settings: dict[str, Any]) -> tuple[str, ...] | None:
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset(settings)
    if not subset:
        return None
    names = ImageNetInfo(subset).label_descriptions()
    return tuple(name.split(',')[0] for name in names)
