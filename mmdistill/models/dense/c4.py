"""The C4 variant: the backbone's last stage is the box head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign

#: Stride of the C4 map, from which regions are pooled.
STRIDE = 16


def stages_after_c4(
    backbone: nn.Module, strides: Sequence[int], names: Sequence[str]
) -> list[nn.Module]:
    """Truncate a backbone at the C4 map; return the stages after it.

    These stages remain submodules of the backbone and are saved with it.

    Args:
        backbone: a backbone that runs its stages from a list of names.
        strides: strides of the stages' maps.
        names: names of the stages.
    Raises:
        ValueError: if no stage has the C4 stride, or no stage comes after it.
    """
    front = [
        name
        for name, stride in zip(names, strides, strict=True)
        if stride <= STRIDE
    ]
    if STRIDE not in strides or len(front) == len(names):
        raise ValueError(
            f"with model.neck='c4' model.backbone has a map of stride "
            f'{STRIDE} and a stage of a larger stride after it; the strides '
            f'of {type(backbone).__name__} are {list(strides)}: set '
            "model.backbone.strides, or model.neck='fpn'"
        )
    setattr(backbone, _names_attribute(backbone), front)
    backbone.out_indices = (len(front) - 1,)
    return [getattr(backbone, name) for name in names[len(front) :]]


def stage_names(backbone: nn.Module) -> list[str]:
    """The names of a backbone's stages, in order.

    Raises:
        ValueError: if the backbone keeps no list of stage names.
    """
    attribute = _names_attribute(backbone)
    if attribute is None:
        raise ValueError(
            "model.neck='c4' takes the last stage of model.backbone apart, "
            'which goes with the backbones of MMPretrain that keep a list of '
            'the names of their stages: ResNet and what derives from it '
            '(ResNeXt, SEResNet, RegNet, ...), MobileNetV2 and MobileNetV3; '
            f"got {type(backbone).__name__}: set model.neck='fpn'"
        )
    return list(getattr(backbone, attribute))


def _names_attribute(backbone: nn.Module) -> str | None:
    for attribute in ('res_layers', 'layers'):
        names = getattr(backbone, attribute, None)
        if isinstance(names, list) and all(isinstance(n, str) for n in names):
            return attribute
    return None


class LastStage(nn.Module):
    """Box head: the backbone's last stage and an extra batch norm.

    Paper: He et al., Momentum Contrast for Unsupervised Visual Representation
    Learning, CVPR 2020, https://arxiv.org/abs/1911.05722, appendix: R50-C4
    detectors get an extra BN after conv5 to normalize its features.

    Args:
        stages: stages of the backbone, which registers and saves them.
        channels: output channels of the last stage.
    Shape:
        x: (R, C_4, 14, 14); returns (R, channels, 7, 7).
    """

    def __init__(self, stages: Sequence[nn.Module], channels: int) -> None:
        super().__init__()
        self._stages = tuple(stages)  # a tuple registers nothing
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        for stage in self._stages:
            x = stage(x)
        return self.norm(x)


class SharedRoIAlign(MultiScaleRoIAlign):
    """Pass the last stage's maps to the mask branch.

    In training it reuses the box head's maps of positive regions, as in
    Detectron2's R50-C4: the stage runs once per step, and its batch norms see
    each region once. In testing the detections pass through the stage.

    Args:
        box_head: the `LastStage`.
        kwargs: arguments of MultiScaleRoIAlign.
    """

    def __init__(self, box_head: LastStage, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._box_head = (box_head,)  # a tuple registers nothing
        #: The box head's maps of positive regions, until ``forward`` takes
        #: them.
        self.maps: Tensor | None = None

    def forward(self, x: dict, boxes: list, image_shapes: list) -> Tensor:
        if self.training:
            maps, self.maps = self.maps, None
            return maps
        return self._box_head[0](super().forward(x, boxes, image_shapes))


class SharedRoIHeads(RoIHeads):
    """torchvision's RoIHeads with a box head shared by the mask branch.

    Args:
        args, kwargs: arguments of RoIHeads; ``mask_roi_pool`` must be a
            `SharedRoIAlign`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._positive: Tensor | None = None
        self.box_head.register_forward_hook(self._keep)

    def select_training_samples(self, *args: Any) -> tuple:
        """As in RoIHeads; also stores which regions are positive."""
        selected = super().select_training_samples(*args)
        self._positive = torch.cat(selected[2]) > 0
        return selected

    def _keep(self, _module: nn.Module, _args: tuple, maps: Tensor) -> None:
        if self.training:
            self.mask_roi_pool.maps = maps[self._positive]
