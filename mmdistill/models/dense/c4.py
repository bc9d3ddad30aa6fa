"""The C4 form: the backbone's last stage is the head of every region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import MultiScaleRoIAlign

#: Pixels between the cells of the map that regions are taken from.
STRIDE = 16


def stages_after_c4(
    backbone: nn.Module, strides: Sequence[int], names: Sequence[str]
) -> list[nn.Module]:
    """Let a backbone end at the stride of C4; returns the stages after it.

    They stay the backbone's own and are saved with it.

    Args:
        backbone: runs its stages by a list of their names.
        strides: of the stages' maps.
        names: of the stages.
    Raises:
        ValueError: if no stage ends at this stride, or none comes after it.
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
    """The stages that a backbone runs one after the other.

    Raises:
        ValueError: if it does not run them by a list of their names.
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
    """Box head: the backbone's last stage, and a batch norm of its own.

    Paper: He et al., Momentum Contrast for Unsupervised Visual Representation
    Learning, CVPR 2020, appendix: the R50-C4 of detection has an extra BN
    after conv5, as its features were not trained for this depth of head.

    Args:
        stages: of the backbone, where they are registered and saved.
        channels: of the last one.
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
    """Gives the mask branch the maps of the last stage.

    In training these are the box head's own, of its positive regions, as in
    Detectron2's R50-C4: the stage runs once a step and its batch norms see
    each region once. In testing the detections go through it.

    Args:
        box_head: `LastStage`.
        kwargs: of MultiScaleRoIAlign.
    """

    def __init__(self, box_head: LastStage, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._box_head = (box_head,)  # a tuple registers nothing
        #: The box head's maps of positive regions, until they are asked for.
        self.maps: Tensor | None = None

    def forward(self, x: dict, boxes: list, image_shapes: list) -> Tensor:
        if self.training:
            maps, self.maps = self.maps, None
            return maps
        return self._box_head[0](super().forward(x, boxes, image_shapes))


class SharedRoIHeads(RoIHeads):
    """torchvision's RoIHeads, whose box head works for its mask branch.

    Args:
        args, kwargs: of RoIHeads; ``mask_roi_pool`` is a `SharedRoIAlign`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._positive: Tensor | None = None
        self.box_head.register_forward_hook(self._keep)

    def select_training_samples(self, *args: Any) -> tuple:
        """As of RoIHeads; remembers which regions have a class."""
        selected = super().select_training_samples(*args)
        self._positive = torch.cat(selected[2]) > 0
        return selected

    def _keep(self, _module: nn.Module, _args: tuple, maps: Tensor) -> None:
        if self.training:
            self.mask_roi_pool.maps = maps[self._positive]
