"""A network of any library as a classifier of MMPretrain's kind."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from mmdistill.models.zoo.network_backbone import NetworkBackbone
from mmdistill.registry import MODELS


@MODELS.register_module()
class NetworkClassifier(ImageClassifier):
    """A classifier of timm, torchvision, Hugging Face, or any network.

    The library's network without its classifier is the backbone, and its
    classifier the head's ``fc``. So every loss sees its feature, maps and
    logits, and it is exported like any classifier.

    Args:
        network, pretrained, in_channels, input_size, options, classifier,
            maps: as of `NetworkBackbone`.
        num_classes: 0 for none; None for as many as the library's network.
            A network without a classifier gets a linear one.
        head: settings of ``LinearClsHead``, such as ``loss`` and ``topk``.
        train_cfg, data_preprocessor, init_cfg: as of ``ImageClassifier``.
    Raises:
        ModelNameError: see `NetworkBackbone`.
    Config:
        student=dict(type='timm/resnet18', num_classes=10)
        student=dict(type='NetworkClassifier', network=dict(type='MyNet'),
                     num_classes=10, input_size=(3, 64, 64))
    """

    def __init__(
        self,
        network: str | dict | nn.Module,
        num_classes: int | None = None,
        pretrained: bool = False,
        in_channels: int = 3,
        input_size: Sequence[int] | None = None,
        options: Mapping[str, Any] | None = None,
        classifier: Sequence[str] | None = None,
        maps: Sequence[str] | None = None,
        head: dict | None = None,
        train_cfg: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        backbone = NetworkBackbone(
            network,
            num_classes,
            pretrained,
            in_channels,
            input_size,
            options,
            classifier,
            maps,
        )
        super().__init__(
            backbone,
            head=_head(backbone, num_classes, head or {}),
            train_cfg=train_cfg,
            data_preprocessor=copy.deepcopy(data_preprocessor),
            init_cfg=init_cfg,
        )
        if backbone.taken is not None and self.head is not None:
            self.head.fc = backbone.taken
        del backbone.__dict__['taken']

    def init_weights(self) -> None:
        """Initialize a new head, and load published weights if asked to.

        Raises:
            WeightsError: if they could not be had.
        """
        if self._is_init:
            return
        super().init_weights()
        found = self.backbone.__dict__.pop('published_head', {})
        fc = getattr(self.head, 'fc', None)
        own = {} if fc is None else fc.state_dict()
        shapes = {key: value.shape for key, value in own.items()}
        if found and {k: v.shape for k, v in found.items()} == shapes:
            fc.load_state_dict(found)  # else it is of other classes

    def from_library(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `NetworkBackbone.from_library`."""
        return self.backbone.from_library(state)


def _head(
    backbone: NetworkBackbone, num_classes: int | None, settings: dict
) -> dict | None:
    """The head's config; None for an encoder without classes."""
    taken = backbone.taken
    if num_classes == 0 or (num_classes is None and taken is None):
        return None
    if taken is None and backbone.width == num_classes:
        # the network keeps its classifier, which is no linear layer
        return dict(type='ClsHead', **settings)
    linear = dict(
        type='LinearClsHead',
        in_channels=backbone.width,
        num_classes=num_classes if taken is None else taken.out_features,
    )
    if taken is not None:
        linear['init_cfg'] = None  # the library has initialized it
    return {**linear, **settings}
