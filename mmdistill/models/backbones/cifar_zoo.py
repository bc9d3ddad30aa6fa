"""The benchmarks' CIFAR networks by name, and RepDistiller's weight names."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Mapping

from torch import Tensor

_NARROW = (16, 16, 32, 64)
_WIDE = (32, 64, 128, 256)

#: Network name to its backbone config and the channels of its pooled map.
_BACKBONES: dict[str, tuple[dict, int]] = {
    **{
        f'resnet{depth}': (
            dict(type='CIFARResNet', depth=depth, widths=_NARROW),
            64,
        )
        for depth in (8, 14, 20, 32, 44, 56, 110)
    },
    **{
        f'resnet{depth}x4': (
            dict(type='CIFARResNet', depth=depth, widths=_WIDE),
            256,
        )
        for depth in (8, 32)
    },
    **{
        f'wrn_{depth}_{k}': (
            dict(type='CIFARWideResNet', depth=depth, widen_factor=k),
            64 * k,
        )
        for depth in (16, 40)
        for k in (1, 2)
    },
    **{
        f'vgg{depth}': (dict(type='CIFARVGG', depth=depth), 512)
        for depth in (8, 11, 13, 16, 19)
    },
    'ResNet50': (
        dict(type='CIFARBottleneckResNet', blocks=(3, 4, 6, 3)),
        2048,
    ),
    'MobileNetV2': (dict(type='CIFARMobileNetV2', widen_factor=0.5), 1280),
    'ShuffleV1': (dict(type='CIFARShuffleNetV1'), 960),
    'ShuffleV2': (dict(type='CIFARShuffleNetV2'), 1024),
    # MCL-OKD's, see CIFARDenseNet
    'densenet_40_12': (
        dict(type='CIFARDenseNet', depth=40, growth_rate=12),
        132,
    ),
}

#: RepDistiller's name of the last linear layer, by our backbone type.
_LINEAR = dict(
    CIFARResNet='fc',
    CIFARWideResNet='fc',
    CIFARVGG='classifier',
    CIFARMobileNetV2='classifier.0',
    CIFARShuffleNetV1='linear',
    CIFARShuffleNetV2='linear',
    CIFARBottleneckResNet='linear',
)

#: Names of all networks.
CIFAR_ZOO = tuple(_BACKBONES)
#: Names of the networks that RepDistiller has, too.
REPDISTILLER_ZOO = tuple(
    name for name, (cfg, _) in _BACKBONES.items() if cfg['type'] in _LINEAR
)

# The references initialize the last linear layer like torch, like torch but
# with bias 0, or like MMPretrain's head (normal, std 0.01, bias 0). This
# Kaiming rule is the one by which nn.Linear draws its weight.
_TORCH_WITHOUT_BIAS = dict(
    type='Kaiming',
    layer='Linear',
    a=math.sqrt(5),
    mode='fan_in',
    nonlinearity='leaky_relu',
    distribution='uniform',
)
_LINEAR_INIT = dict(
    CIFARWideResNet=_TORCH_WITHOUT_BIAS,
    CIFARDenseNet=_TORCH_WITHOUT_BIAS,
    CIFARVGG=dict(type='Normal', layer='Linear', std=0.01),
    CIFARMobileNetV2=dict(type='Normal', layer='Linear', std=0.01),
)


def _backbone(name: str) -> tuple[dict, int]:
    if name not in _BACKBONES:
        near = difflib.get_close_matches(name, _BACKBONES, cutoff=0.5)
        hint = f'did you mean {" or ".join(near)}? ' if near else ''
        raise ValueError(
            f'{name!r} is no network of the CIFAR zoo; {hint}It has: '
            + ', '.join(_BACKBONES)
        )
    return copy.deepcopy(_BACKBONES[name])


def cifar_classifier(name: str, num_classes: int = 100) -> dict:
    """The config of a benchmark network as an ``ImageClassifier``.

    Args:
        name: one of ``CIFAR_ZOO``, such as 'resnet32x4', 'wrn_40_2', 'vgg13'.
        num_classes: number of classes.
    Raises:
        ValueError: if there is no network of this name; all are listed.
    Example:
        teacher = MODELS.build(cifar_classifier('wrn_40_2'))
    """
    backbone, channels = _backbone(name)
    return dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=num_classes,
            in_channels=channels,
            init_cfg=copy.deepcopy(_LINEAR_INIT.get(backbone['type'])),
        ),
    )


def repdistiller_linear(name: str) -> str:
    """RepDistiller's name of the last linear layer of a network.

    Raises:
        ValueError: if RepDistiller does not have that network.
    """
    backbone, _ = _backbone(name)
    if backbone['type'] not in _LINEAR:
        raise ValueError(
            f'RepDistiller has no {name}; it has: '
            + ', '.join(REPDISTILLER_ZOO)
        )
    return _LINEAR[backbone['type']]


def from_repdistiller(
    state: Mapping[str, Tensor], name: str
) -> dict[str, Tensor]:
    """Rename the weights of a RepDistiller network for our classifier.

    Only the last linear layer has a different name.
    """
    linear = f'{repdistiller_linear(name)}.'
    return {
        f'head.fc.{key.removeprefix(linear)}'
        if key.startswith(linear)
        else f'backbone.{key}': value
        for key, value in state.items()
    }


def to_repdistiller(
    state: Mapping[str, Tensor], name: str
) -> dict[str, Tensor]:
    """Rename the weights of our classifier for RepDistiller's network."""
    linear = f'{repdistiller_linear(name)}.'
    return {
        f'{linear}{key.removeprefix("head.fc.")}'
        if key.startswith('head.fc.')
        else key.removeprefix('backbone.'): value
        for key, value in state.items()
    }
